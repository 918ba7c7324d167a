#include "support/interpreter.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace thimble {
namespace {

template <class T>
int64_t scalar_bytes(ElementType type) {
  return is_scalar(type) ? static_cast<int64_t>(sizeof(T)) : element_bytes(type);
}

std::vector<std::byte> copy_of(std::span<std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

GuardedBuffer::GuardedBuffer(int64_t bytes, std::byte fill)
    : size_(static_cast<size_t>(bytes)), bytes_(size_ + 2 * kGuardBytes, std::byte{0xFF}) {
  std::ranges::fill(this->bytes(), fill);
}

bool GuardedBuffer::guards_intact() const {
  const auto intact = [](std::byte b) { return b == std::byte{0xFF}; };
  const auto middle = bytes_.begin() + static_cast<std::ptrdiff_t>(kGuardBytes);
  return std::all_of(bytes_.begin(), middle, intact) &&
         std::all_of(middle + static_cast<std::ptrdiff_t>(size_), bytes_.end(), intact);
}

template <class T>
Interpreter<T>::Interpreter(const Graph& graph, std::byte fill) : graph_(graph), fill_(fill) {
  for (const Tensor& t : graph.tensors) {
    buffers_.push_back(
        std::make_shared<GuardedBuffer>(t.shape.elements() * scalar_bytes<T>(t.type), fill));
  }
}

template <class T>
void Interpreter<T>::set(TensorId id, const std::vector<double>& values) {
  const Tensor& t = graph_.tensor(id);
  ensure(static_cast<int64_t>(values.size()) == t.shape.elements(), t.name, " of shape ", t.shape,
         " cannot take ", values.size(), " values");
  void* data = buffer(id).data();
  for (size_t i = 0; i < values.size(); ++i) {
    switch (t.type) {
      case ElementType::f32:
      case ElementType::bf16:
        static_cast<T*>(data)[i] = T(values[i]);
        break;
      case ElementType::i32:
        static_cast<int32_t*>(data)[i] = static_cast<int32_t>(values[i]);
        break;
      case ElementType::u8:
        static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(values[i]);
        break;
    }
  }
}

template <class T>
void Interpreter<T>::set(const Values& values) {
  for (size_t t = 0; t < values.size(); ++t) {
    if (!values[t].empty()) set(static_cast<TensorId>(t), values[t]);
  }
}

template <class T>
std::vector<double> Interpreter<T>::get(TensorId id) const {
  const Tensor& t = graph_.tensor(id);
  std::vector<double> values(static_cast<size_t>(t.shape.elements()));
  const void* data = buffer(id).data();
  for (size_t i = 0; i < values.size(); ++i) {
    switch (t.type) {
      case ElementType::f32:
      case ElementType::bf16:
        values[i] = branch_value(static_cast<const T*>(data)[i]);
        break;
      case ElementType::i32:
        values[i] = static_cast<const int32_t*>(data)[i];
        break;
      case ElementType::u8:
        values[i] = static_cast<const uint8_t*>(data)[i];
        break;
    }
  }
  return values;
}

template <class T>
Values Interpreter<T>::get() const {
  Values all;
  for (size_t t = 0; t < buffers_.size(); ++t) all.push_back(get(static_cast<TensorId>(t)));
  return all;
}

template <class T>
std::span<T> Interpreter<T>::scalars(TensorId id) const {
  const Tensor& t = graph_.tensor(id);
  ensure(is_scalar(t.type), t.name, " does not hold scalars");
  return {static_cast<T*>(buffer(id).data()), static_cast<size_t>(t.shape.elements())};
}

template <class T>
std::span<std::byte> Interpreter<T>::bytes(TensorId id) const {
  return buffer(id).bytes();
}

template <class T>
void Interpreter<T>::poison(TensorId id) {
  std::ranges::fill(bytes(id), std::byte{0xFF});
}

template <class T>
void Interpreter<T>::run(size_t begin, size_t end) {
  for (size_t n = begin; n < end; ++n) run_in_place(n, {});
}

template <class T>
void Interpreter<T>::run_in_place(size_t n, std::span<const InPlacePair> pairs) {
  const Node& node = graph_.nodes[n];
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const TensorId t = node.outputs[i];
    if (t == kNoTensor) continue;
    const auto pair = std::find_if(pairs.begin(), pairs.end(),
                                   [&](const InPlacePair& p) { return p.output == i; });
    if (pair == pairs.end()) {
      std::ranges::fill(bytes(t), fill_);
      continue;
    }
    const TensorId input = node.inputs[pair->input];
    ensure(bytes(input).size() == bytes(t).size(), node.op, " claims to run in place from ",
           graph_.tensor(input).name, " to ", graph_.tensor(t).name, " of another size");
    buffers_[static_cast<size_t>(t)] = buffers_[static_cast<size_t>(input)];
  }
  call(node);
}

template <class T>
TensorArg Interpreter<T>::argument(TensorId id) const {
  if (id == kNoTensor) return {};
  const Tensor& t = graph_.tensor(id);
  return {buffer(id).data(), &t.shape, t.type, t.shape.elements()};
}

template <class T>
void Interpreter<T>::call(const Node& node) {
  const PortableKernel kernel = find_op(node.op).kernels.of<T>();
  ensure(kernel != nullptr, node.op, " has no kernel for this scalar");
  std::vector<TensorId> writes = node.outputs;
  writes.insert(writes.end(), node.updates.begin(), node.updates.end());
  std::vector<TensorArg> inputs, outputs;
  for (TensorId t : node.inputs) inputs.push_back(argument(t));
  for (TensorId t : writes) outputs.push_back(argument(t));
  const auto is_written = [&](TensorId read) {
    return std::any_of(writes.begin(), writes.end(),
                       [&](TensorId t) { return t != kNoTensor && &buffer(t) == &buffer(read); });
  };
  std::vector<std::vector<std::byte>> before;
  for (TensorId t : node.inputs) {
    before.push_back(t == kNoTensor || is_written(t) ? std::vector<std::byte>{}
                                                     : copy_of(bytes(t)));
  }
  GuardedBuffer scratch(scratch_scalars_of(graph_, node) * static_cast<int64_t>(sizeof(T)), fill_);
  kernel({node.attributes, inputs, outputs, scratch.data()});
  ensure(scratch.guards_intact(), node.op, " ", node.name, " writes outside its scratch");
  for (TensorId t : writes) {
    ensure(t == kNoTensor || buffer(t).guards_intact(), node.op, " ", node.name,
           " writes outside its outputs");
  }
  for (size_t i = 0; i < before.size(); ++i) {
    ensure(before[i].empty() || copy_of(bytes(node.inputs[i])) == before[i], node.op, " ",
           node.name, " writes its input ", i);
  }
}

template class Interpreter<float>;
template class Interpreter<double>;
template class Interpreter<std::complex<double>>;

}  // namespace thimble
