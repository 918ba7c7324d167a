#include "onnx/node.h"

#include <charconv>
#include <cmath>

namespace thimble {
namespace {

const std::string kAbsent;

}  // namespace

std::string NodeView::name() const {
  return node_.name().empty() ? str_cat(op(), '_', number_) : node_.name();
}

const std::string& NodeView::input(size_t i) const {
  return i < input_count() ? node_.input(static_cast<int>(i)) : kAbsent;
}

const std::string& NodeView::output(size_t i) const {
  return i < output_count() ? node_.output(static_cast<int>(i)) : kAbsent;
}

const onnx::AttributeProto* NodeView::find(const char* name) const {
  for (const onnx::AttributeProto& a : node_.attribute()) {
    if (a.name() == name) return &a;
  }
  return nullptr;
}

const onnx::AttributeProto* NodeView::find(const char* name, int type) const {
  const onnx::AttributeProto* a = find(name);
  accept(a == nullptr || a->type() == type, "its attribute '", name, "' has the wrong type");
  return a;
}

int64_t NodeView::integer(const char* name, int64_t initial) const {
  const auto* a = find(name, onnx::AttributeProto::INT);
  return a != nullptr ? a->i() : initial;
}

double NodeView::real(const char* name, double initial) const {
  const auto* a = find(name, onnx::AttributeProto::FLOAT);
  if (a == nullptr) return initial;
  accept(std::isfinite(a->f()), "its attribute '", name, "' is no finite number");
  return decimal(a->f());
}

std::string NodeView::text(const char* name, const std::string& initial) const {
  const auto* a = find(name, onnx::AttributeProto::STRING);
  return a != nullptr ? a->s() : initial;
}

std::vector<int64_t> NodeView::integers(const char* name, std::vector<int64_t> initial) const {
  const auto* a = find(name, onnx::AttributeProto::INTS);
  if (a == nullptr) return initial;
  return {a->ints().begin(), a->ints().end()};
}

const onnx::TensorProto* NodeView::tensor(const char* name) const {
  const auto* a = find(name, onnx::AttributeProto::TENSOR);
  return a != nullptr ? &a->t() : nullptr;
}

double decimal(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof(text), value);
  double result = static_cast<double>(value);
  std::from_chars(text, written.ptr, result);
  return result;
}

}  // namespace thimble
