#include "backends/paging.h"

#include <charconv>
#include <cstring>

#include "base/page_file.h"

namespace thimble {
namespace {

constexpr std::string_view kPageOf = "page of ";  // then the elements and the tag of what waits

Layout layout_of_page(const Layout& values) {
  return {str_cat(kPageOf, values.elements, ' ', values.tag), 1};
}

Layout values_of_page(const Layout& page) {
  std::string_view tag = page.tag;
  ensure(tag.starts_with(kPageOf), "a page is laid out as ", page.tag);
  tag.remove_prefix(kPageOf.size());
  Layout values;
  const auto number = std::from_chars(tag.data(), tag.data() + tag.size(), values.elements);
  values.tag = std::string(number.ptr + 1, tag.data() + tag.size());
  return values;
}

class PagingKernel : public Kernel {
 public:
  PagingKernel(Paging what, int64_t page, int64_t bytes)
      : what_(what), page_(page), bytes_(bytes) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    if (b.pages != nullptr) b.pages->book(page_, bytes_);
    return bound([this, file = b.pages, in = b.inputs[0], out = b.outputs[0]] {
      ensure(file != nullptr, "page ", page_, " has no file");
      switch (what_) {
        case Paging::none:
          return;
        case Paging::start_write:
          file->start_write(page_, in);
          break;
        case Paging::start_read:
          return file->start_read(page_, out);
        case Paging::end_write:
          file->wait(page_);
          break;
        case Paging::end_read:
          file->wait(page_);
          if (out != in) std::memcpy(out, in, static_cast<size_t>(bytes_));
          return;
      }
      *static_cast<int32_t*>(out) = static_cast<int32_t>(page_);
    });
  }

 private:
  Paging what_;
  int64_t page_;
  int64_t bytes_;
};

}  // namespace

KernelChoice choose_paging(const Graph& graph, const Node& node,
                           const std::vector<Layout>& layouts) {
  const Paging what = find_op(node.op).paging;
  const Layout& first = layouts[static_cast<size_t>(node.inputs[0])];
  KernelChoice choice;
  TensorId values = node.inputs[0];
  switch (what) {
    case Paging::none:
      throw InternalError(str_cat("internal error: ", node.op, " does not page"));
    case Paging::start_write:
      choice.inputs = {first};
      choice.outputs = {layout_of_page(first)};
      break;
    case Paging::end_write:
      choice.inputs = {first, layout_of_page(first)};
      choice.outputs = {layout_of_page(first)};
      if (!node.updates.empty()) choice.outputs.push_back(first);  // state is there again
      break;
    case Paging::start_read:
      values = node.outputs[0];
      choice.inputs = {first};
      choice.outputs = {first.tag.starts_with(kPageOf) ? values_of_page(first) : first};
      break;
    case Paging::end_read:
      choice.inputs = {first};
      choice.outputs = {first};
      break;
  }
  const int64_t elements =
      what == Paging::start_read ? choice.outputs[0].elements : choice.inputs[0].elements;
  choice.implementation = "page file";
  choice.kernel = std::make_shared<PagingKernel>(
      what, node.attributes.integer("page"), elements * element_bytes(graph.tensor(values).type));
  return choice;
}

}  // namespace thimble
