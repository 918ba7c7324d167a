#include "ops/core/op.h"
#include "ops/core/text.h"

// page (1) or the state that waits there (...), dst (...): a tensor on its way back from the page
// file, and in memory.

namespace thimble {
namespace {

ElementType type_called(const std::string& name) {
  for (const ElementType type :
       {ElementType::f32, ElementType::bf16, ElementType::i32, ElementType::u8}) {
    if (name == name_of(type)) return type;
  }
  throw UserError(str_cat("page_in: type must be f32, bf16, i32 or u8, got ", name));
}

}  // namespace

void define_page_in(OpTable& table) {
  const AttributeSpec page = {"page", int64_t{0}, "its number in the file"};
  const AttributeSpec type = {"type", std::string("f32"), "of the tensor's elements"};
  const auto no_flops = [](const OpShapes&) { return int64_t{0}; };

  OpDef begin;
  begin.name = "page_in";
  begin.summary = "starts to read a tensor from the page file";
  begin.attributes = {page, type, {"shape", std::vector<int64_t>{}, "of the tensor"}};
  begin.inputs = {{"page"}};
  begin.outputs = {{"dst"}};
  begin.infer = [](const OpShapes& s) {
    const auto& sizes = s.attributes.integers("shape");
    require(!sizes.empty() && sizes.size() <= Shape::kMaxRank, "page_in: shape takes 1 to ",
            Shape::kMaxRank, " sizes, got ", text_of(sizes));
    Shape dst;
    for (int64_t d : sizes) dst.push_back(d);
    return std::vector<TensorSpec>{{dst, type_called(s.attributes.text("type"))}};
  };
  begin.flops = no_flops;
  begin.paging = Paging::start_read;
  table.add(begin);

  OpDef end;
  end.name = "page_in_end";
  end.summary = "the tensor is back, at the place where it arrived";
  end.attributes = {page, type};
  end.inputs = {{"arriving"}};
  end.outputs = {{"dst"}};
  end.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{s.inputs[0], type_called(s.attributes.text("type"))}};
  };
  end.in_place = {{0, 0}};
  end.flops = no_flops;
  end.paging = Paging::end_read;
  table.add(end);
}

}  // namespace thimble
