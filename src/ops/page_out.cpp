#include "ops/core/op.h"

// src (...), page (1): a tensor on its way into the page file, and there.

namespace thimble {

void define_page_out(OpTable& table) {
  const AttributeSpec page = {"page", int64_t{0}, "its number in the file"};
  const auto infer = [](const OpShapes&) {
    return std::vector<TensorSpec>{{Shape{1}, ElementType::i32}};
  };
  const auto no_flops = [](const OpShapes&) { return int64_t{0}; };

  OpDef begin;
  begin.name = "page_out";
  begin.summary = "starts to write a tensor to the page file";
  begin.attributes = {page};
  begin.inputs = {{"src"}};
  begin.outputs = {{"page"}};
  begin.infer = infer;
  begin.flops = no_flops;
  begin.paging = Paging::start_write;
  table.add(begin);

  OpDef end;
  end.name = "page_out_end";
  end.summary = "the tensor is in the page file, and its memory is free";
  end.attributes = {page};
  end.inputs = {{"src"}, {"page"}};
  end.outputs = {{"page"}};
  end.infer = infer;
  end.flops = no_flops;
  end.paging = Paging::end_write;
  table.add(end);
}

}  // namespace thimble
