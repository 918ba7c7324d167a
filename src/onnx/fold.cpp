#include "onnx/fold.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

namespace thimble {
namespace {

using Inputs = std::vector<const Constant*>;
using Sizes = std::vector<int64_t>;

// Of what is made of nothing: no shape computation needs more.
constexpr int64_t kMostMade = int64_t{1} << 20;

const Constant& at(const Inputs& inputs, size_t i) {
  accept(i < inputs.size() && inputs[i] != nullptr, "its input ", i, " is missing");
  return *inputs[i];
}

Constant like(const Constant& c, Sizes shape) {
  Constant made;
  made.shape = std::move(shape);
  made.whole = c.whole;
  made.origin = c.origin;
  return made;
}

Sizes strides_of(const Sizes& shape) {
  Sizes strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// Element (i, j, ...) of the result is element offset + i * strides[0] + j * strides[1] + ...
Constant rearranged(const Constant& c, Sizes shape, const Sizes& strides, int64_t offset = 0) {
  const int64_t count = elements_of(shape, std::max(c.elements(), kMostMade));
  Constant made = like(c, std::move(shape));
  Sizes index(made.shape.size(), 0);
  int64_t from = offset;
  const auto next = [&] {
    for (size_t axis = index.size(); axis-- > 0;) {
      from += strides[axis];
      if (++index[axis] < made.shape[axis]) return;
      from -= strides[axis] * made.shape[axis];
      index[axis] = 0;
    }
  };
  const auto copy = [&](const auto& source, auto& to) {
    to.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i, next()) to.push_back(source.at(static_cast<size_t>(from)));
  };
  c.whole ? copy(c.wholes, made.wholes) : copy(c.reals, made.reals);
  return made;
}

Sizes broadcast_shape(const Sizes& a, const Sizes& b) {
  Sizes shape(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    accept(x == y || x == 1 || y == 1, "sizes ", x, " and ", y, " do not broadcast");
    shape[shape.size() - 1 - i] = x == 1 ? y : x;
  }
  return shape;
}

Constant expanded(const Constant& c, const Sizes& shape) {
  if (c.shape == shape) return c;
  const Sizes own = strides_of(c.shape);
  Sizes strides(shape.size(), 0);
  for (size_t i = 0; i < c.shape.size(); ++i) {
    if (c.shape[i] != 1) strides[shape.size() - c.shape.size() + i] = own[i];
  }
  return rearranged(c, shape, strides);
}

Constant binary(const Inputs& inputs, const std::function<Whole(const Whole&, const Whole&)>& whole,
                const std::function<float(float, float)>& real) {
  const Sizes shape = broadcast_shape(at(inputs, 0).shape, at(inputs, 1).shape);
  accept(inputs[0]->whole == inputs[1]->whole, "mixes whole and real numbers");
  const Constant a = expanded(*inputs[0], shape);
  const Constant b = expanded(*inputs[1], shape);
  Constant made = like(a, shape);
  made.origin.clear();
  for (size_t i = 0; i < a.wholes.size(); ++i)
    made.wholes.push_back(whole(a.wholes[i], b.wholes[i]));
  for (size_t i = 0; i < a.reals.size(); ++i) made.reals.push_back(real(a.reals[i], b.reals[i]));
  return made;
}

Constant same(const NodeView&, const Inputs& inputs) { return at(inputs, 0); }

Constant constant(const NodeView& node, const Inputs&) {
  if (const auto* t = node.tensor("value")) return constant_of(*t);
  Constant made;
  if (node.has("value_int")) {
    made.whole = true;
    made.wholes = {{node.integer("value_int", 0)}};
  } else if (node.has("value_float")) {
    made.reals = {static_cast<float>(node.real("value_float", 0))};
  } else if (const auto* ints = node.find("value_ints")) {
    for (int64_t v : ints->ints()) made.wholes.push_back({v});
    made.whole = true;
    made.shape = {made.elements()};
  } else if (const auto* floats = node.find("value_floats")) {
    made.reals.assign(floats->floats().begin(), floats->floats().end());
    made.shape = {made.elements()};
  } else {
    throw Refused("holds no tensor of numbers");
  }
  return made;
}

Constant constant_of_shape(const NodeView& node, const Inputs& inputs) {
  const Sizes shape = known_values(at(inputs, 0));
  const auto count = static_cast<size_t>(elements_of(shape, kMostMade));
  const auto* value = node.tensor("value");
  Constant made = value != nullptr ? constant_of(*value) : Constant{{1}, false, {}, {0.0F}, {}};
  accept(made.elements() == 1, "is given ", made.elements(), " values where one is needed");
  made.shape = shape;
  if (made.whole)
    made.wholes.resize(count, made.wholes[0]);
  else
    made.reals.resize(count, made.reals[0]);
  return made;
}

Constant gather(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  const size_t axis = axis_of(node.integer("axis", 0), data.shape.size());
  const Sizes picked = known_values(at(inputs, 1));
  const int64_t size = data.shape[axis];
  const auto inner = std::accumulate(data.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1,
                                     data.shape.end(), int64_t{1}, std::multiplies<>());
  const int64_t outer =
      std::accumulate(data.shape.begin(), data.shape.begin() + static_cast<std::ptrdiff_t>(axis),
                      int64_t{1}, std::multiplies<>());
  Sizes shape(data.shape.begin(), data.shape.begin() + static_cast<std::ptrdiff_t>(axis));
  shape.insert(shape.end(), inputs[1]->shape.begin(), inputs[1]->shape.end());
  shape.insert(shape.end(), data.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1,
               data.shape.end());
  elements_of(shape, std::max(data.elements(), kMostMade));
  Constant made = like(data, shape);
  made.origin.clear();
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t index : picked) {
      accept(index >= -size && index < size, "picks ", index, " of ", size);
      const int64_t begin = (o * size + (index < 0 ? index + size : index)) * inner;
      for (int64_t i = begin; i < begin + inner; ++i) {
        if (data.whole)
          made.wholes.push_back(data.wholes.at(static_cast<size_t>(i)));
        else
          made.reals.push_back(data.reals.at(static_cast<size_t>(i)));
      }
    }
  }
  return made;
}

Constant slice(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  const Sizes strides = strides_of(data.shape);
  Sizes shape, steps;
  int64_t offset = 0;
  for (const Cut& cut : cuts_of(node, inputs, data.shape)) {
    const int64_t stride = strides[shape.size()];
    offset += cut.count > 0 ? cut.start * stride : 0;
    steps.push_back(cut.step * stride);
    shape.push_back(cut.count);
  }
  Constant made = rearranged(data, shape, steps, offset);
  if (made.shape != data.shape) made.origin.clear();
  return made;
}

Constant concat(const NodeView& node, const Inputs& inputs) {
  const Constant& first = at(inputs, 0);
  const size_t axis = axis_of(node.integer("axis", 0), first.shape.size());
  Constant made = like(first, first.shape);
  made.origin.clear();
  made.shape[axis] = 0;
  int64_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= first.shape[i];
  for (const Constant* part : inputs) {
    accept(part != nullptr && part->whole == first.whole, "joins whole and real numbers");
    Sizes rest = part->shape;
    accept(rest.size() == first.shape.size(), "joins tensors of different ranks");
    made.shape[axis] += rest[axis];
    rest[axis] = first.shape[axis];
    accept(rest == first.shape, "joins tensors of different shapes");
  }
  elements_of(made.shape, std::max(first.elements(), kMostMade));
  for (int64_t o = 0; o < outer; ++o) {
    for (const Constant* part : inputs) {
      const int64_t run = part->elements() / std::max<int64_t>(outer, 1);
      if (part->whole) {
        const auto begin = part->wholes.begin() + o * run;
        made.wholes.insert(made.wholes.end(), begin, begin + run);
      } else {
        const auto begin = part->reals.begin() + o * run;
        made.reals.insert(made.reals.end(), begin, begin + run);
      }
    }
  }
  return made;
}

Constant with_shape(const Constant& c, Sizes shape) {
  Constant made = c;
  made.shape = std::move(shape);
  return made;
}

Constant reshape(const NodeView&, const Inputs& inputs) {
  return with_shape(at(inputs, 0), reshaped(at(inputs, 0).shape, known_values(at(inputs, 1))));
}

Constant flatten(const NodeView& node, const Inputs& inputs) {
  const Sizes& shape = at(inputs, 0).shape;
  const int64_t axis = node.integer("axis", 1);
  const auto rank = static_cast<int64_t>(shape.size());
  accept(axis >= -rank && axis <= rank, "axis ", axis, " is none of ", rank);
  const auto middle = shape.begin() + (axis < 0 ? axis + rank : axis);
  const int64_t rows = std::accumulate(shape.begin(), middle, int64_t{1}, std::multiplies<>());
  return with_shape(*inputs[0], {rows, inputs[0]->elements() / std::max<int64_t>(rows, 1)});
}

Constant transpose(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  Sizes order(data.shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(order.size() - 1 - i);
  order = node.integers("perm", order);
  Sizes sorted = order;
  std::sort(sorted.begin(), sorted.end());
  accept(order.size() == data.shape.size(), "orders ", order.size(), " axes of ",
         data.shape.size());
  const Sizes own = strides_of(data.shape);
  Sizes shape, strides;
  for (size_t i = 0; i < order.size(); ++i) {
    accept(sorted[i] == static_cast<int64_t>(i), "its attribute 'perm' is no order of axes");
    shape.push_back(data.shape[static_cast<size_t>(order[i])]);
    strides.push_back(own[static_cast<size_t>(order[i])]);
  }
  return rearranged(data, shape, strides);
}

Constant cast(const NodeView& node, const Inputs& inputs) {
  using onnx::TensorProto;
  const int64_t to = node.integer("to", 0);
  const Constant& data = at(inputs, 0);
  const bool real = to == TensorProto::FLOAT || to == TensorProto::DOUBLE ||
                    to == TensorProto::FLOAT16 || to == TensorProto::BFLOAT16;
  accept(real || to == TensorProto::INT64 || to == TensorProto::INT32 || to == TensorProto::BOOL,
         "makes numbers of the type ", to);
  Constant made = like(data, data.shape);
  made.whole = !real;
  if (real == !data.whole) {
    made = data;
  } else if (real) {
    for (const Whole& w : data.wholes) made.reals.push_back(static_cast<float>(known(w)));
  } else {
    for (float v : data.reals) {
      accept(std::abs(v) < 0x1p62F, "makes ", v, " whole");
      made.wholes.push_back({static_cast<int64_t>(v)});
    }
  }
  if (to == TensorProto::BOOL) {
    for (Whole& w : made.wholes) w = {known(w) != 0 ? 1 : 0};
  }
  return made;
}

Constant unsqueeze(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  const Sizes axes = axes_of(node, inputs.size() > 1 ? inputs[1] : nullptr, {});
  Sizes shape(data.shape.size() + axes.size(), -1);
  for (int64_t axis : axes) shape[axis_of(axis, shape.size())] = 1;
  size_t next = 0;
  for (int64_t& size : shape) {
    if (size != -1) continue;
    accept(next < data.shape.size(), "names an axis twice");
    size = data.shape[next++];
  }
  return with_shape(data, shape);
}

Constant squeeze(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  const Sizes axes = axes_of(node, inputs.size() > 1 ? inputs[1] : nullptr, {});
  std::vector<bool> dropped(data.shape.size());
  for (size_t i = 0; axes.empty() && i < dropped.size(); ++i) dropped[i] = data.shape[i] == 1;
  for (int64_t axis : axes) dropped[axis_of(axis, dropped.size())] = true;
  Sizes shape;
  for (size_t i = 0; i < dropped.size(); ++i) {
    accept(!dropped[i] || data.shape[i] == 1, "drops an axis of ", data.shape[i]);
    if (!dropped[i]) shape.push_back(data.shape[i]);
  }
  return with_shape(data, shape);
}

Constant range(const NodeView&, const Inputs& inputs) {
  const double start = scalar_of(at(inputs, 0));
  const double step = scalar_of(at(inputs, 2));
  accept(step != 0, "steps by 0");
  const double count = std::max(0.0, std::ceil((scalar_of(at(inputs, 1)) - start) / step));
  accept(count <= static_cast<double>(kMostMade), "makes ", count, " numbers");
  Constant made = like(*inputs[0], {static_cast<int64_t>(count)});
  for (double i = 0; i < count; ++i) {
    const double value = start + i * step;
    if (made.whole)
      made.wholes.push_back({static_cast<int64_t>(value)});
    else
      made.reals.push_back(static_cast<float>(value));
  }
  return made;
}

Constant expand(const NodeView&, const Inputs& inputs) {
  const Sizes shape = broadcast_shape(at(inputs, 0).shape, known_values(at(inputs, 1)));
  Constant made = expanded(*inputs[0], shape);
  if (made.shape != inputs[0]->shape) made.origin.clear();
  return made;
}

Constant where(const NodeView&, const Inputs& inputs) {
  const Sizes shape = broadcast_shape(at(inputs, 0).shape,
                                      broadcast_shape(at(inputs, 1).shape, at(inputs, 2).shape));
  accept(inputs[0]->whole && inputs[1]->whole == inputs[2]->whole, "mixes whole and real numbers");
  const Constant choice = expanded(*inputs[0], shape);
  const Constant yes = expanded(*inputs[1], shape);
  const Constant no = expanded(*inputs[2], shape);
  Constant made = like(yes, shape);
  made.origin.clear();
  for (size_t i = 0; i < choice.wholes.size(); ++i) {
    const Constant& from = known(choice.wholes[i]) != 0 ? yes : no;
    if (made.whole)
      made.wholes.push_back(from.wholes[i]);
    else
      made.reals.push_back(from.reals[i]);
  }
  return made;
}

Constant compare(const Inputs& inputs) {
  const Sizes shape = broadcast_shape(at(inputs, 0).shape, at(inputs, 1).shape);
  accept(inputs[0]->whole == inputs[1]->whole, "mixes whole and real numbers");
  const Constant a = expanded(*inputs[0], shape);
  const Constant b = expanded(*inputs[1], shape);
  Constant made;
  made.shape = shape;
  made.whole = true;
  for (size_t i = 0; i < a.wholes.size(); ++i) {
    made.wholes.push_back({equal(a.wholes[i], b.wholes[i]) ? 1 : 0});
  }
  for (size_t i = 0; i < a.reals.size(); ++i) made.wholes.push_back({a.reals[i] == b.reals[i]});
  return made;
}

Constant unary(const Inputs& inputs, float (*real)(float)) {
  Constant made = at(inputs, 0);
  accept(!made.whole, "needs real numbers");
  made.origin.clear();
  for (float& v : made.reals) v = real(v);
  return made;
}

Constant reduce_product(const NodeView& node, const Inputs& inputs) {
  const Constant& data = at(inputs, 0);
  accept(data.whole && data.shape.size() <= 1, "multiplies other than a list of sizes");
  Whole all{1};
  for (const Whole& w : data.wholes) all = all * w;
  Constant made = whole_list({all});
  if (node.integer("keepdims", 1) == 0) made.shape.clear();
  return made;
}

Whole least(const Whole& a, const Whole& b) { return {std::min(known(a), known(b))}; }
Whole most(const Whole& a, const Whole& b) { return {std::max(known(a), known(b))}; }

using Folder = Constant (*)(const NodeView&, const Inputs&);

const std::map<std::string, Folder>& folders() {
  static const std::map<std::string, Folder> all = {
      {"Identity", same},
      {"Constant", constant},
      {"ConstantOfShape", constant_of_shape},
      {"Gather", gather},
      {"Slice", slice},
      {"Concat", concat},
      {"Reshape", reshape},
      {"Flatten", flatten},
      {"Transpose", transpose},
      {"Cast", cast},
      {"Unsqueeze", unsqueeze},
      {"Squeeze", squeeze},
      {"Range", range},
      {"Expand", expand},
      {"Where", where},
      {"ReduceProd", reduce_product},
      {"Equal", [](const NodeView&, const Inputs& in) { return compare(in); }},
      {"Add", [](const NodeView&,
                 const Inputs& in) { return binary(in, std::plus<Whole>(), std::plus<float>()); }},
      {"Sub",
       [](const NodeView&, const Inputs& in) {
         return binary(in, std::minus<Whole>(), std::minus<float>());
       }},
      {"Mul",
       [](const NodeView&, const Inputs& in) {
         return binary(in, std::multiplies<Whole>(), std::multiplies<float>());
       }},
      {"Div",
       [](const NodeView&, const Inputs& in) {
         return binary(in, std::divides<Whole>(), std::divides<float>());
       }},
      {"Min",
       [](const NodeView&, const Inputs& in) {
         return binary(in, least, [](float a, float b) { return std::min(a, b); });
       }},
      {"Max",
       [](const NodeView&, const Inputs& in) {
         return binary(in, most, [](float a, float b) { return std::max(a, b); });
       }},
      {"Floor", [](const NodeView&, const Inputs& in) { return unary(in, std::floor); }},
      {"Ceil", [](const NodeView&, const Inputs& in) { return unary(in, std::ceil); }},
      {"Sqrt", [](const NodeView&, const Inputs& in) { return unary(in, std::sqrt); }},
      {"Neg",
       [](const NodeView&, const Inputs& in) {
         const Constant& data = at(in, 0);
         if (!data.whole) return unary(in, [](float v) { return -v; });
         Constant made = data;
         for (Whole& w : made.wholes) w = Whole{0} - w;
         return made;
       }},
  };
  return all;
}

}  // namespace

bool can_fold(const std::string& op) { return folders().contains(op); }

Constant fold(const NodeView& node, const Inputs& inputs) {
  return folders().at(node.op())(node, inputs);
}

Sizes reshaped(const Sizes& from, const Sizes& shape) {
  int64_t elements = 1, known_product = 1;
  for (int64_t size : from) elements *= size;
  Sizes result = shape;
  int64_t* open = nullptr;
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i] == 0) {
      accept(i < from.size(), "copies size ", i, " of ", from.size());
      result[i] = from[i];
    }
    if (result[i] == -1) {
      accept(open == nullptr, "leaves two sizes open");
      open = &result[i];
      continue;
    }
    accept(result[i] >= 0 && (result[i] == 0 || known_product <= INT64_MAX / result[i]),
           "asks for a size of ", result[i]);
    known_product *= result[i];
  }
  if (open != nullptr) *open = known_product > 0 ? elements / known_product : 0;
  const int64_t filled = open != nullptr ? known_product * *open : known_product;
  accept(filled == elements, "its ", elements, " elements do not fill the new shape");
  return result;
}

size_t axis_of(int64_t axis, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  accept(axis >= -count && axis < count, "axis ", axis, " is none of ", count);
  return static_cast<size_t>(axis < 0 ? axis + count : axis);
}

Sizes axes_of(const NodeView& node, const Constant* input, Sizes initial) {
  if (input != nullptr) return known_values(*input);
  return node.integers("axes", std::move(initial));
}

std::vector<Cut> cuts_of(const NodeView& node, const Inputs& inputs, const Sizes& shape) {
  const auto list = [&](size_t i, const char* name, const Sizes& initial) {
    if (i < inputs.size() && inputs[i] != nullptr) return known_values(*inputs[i]);
    return node.integers(name, initial);
  };
  const Sizes starts = list(1, "starts", {});
  const Sizes ends = list(2, "ends", {});
  Sizes all(starts.size());
  std::iota(all.begin(), all.end(), 0);
  const Sizes axes = list(3, "axes", all);
  const Sizes steps = list(4, "steps", Sizes(starts.size(), 1));
  accept(!starts.empty() && ends.size() == starts.size() && axes.size() == starts.size() &&
             steps.size() == starts.size(),
         "its starts, ends, axes and steps are not as many");
  std::vector<Cut> cuts;
  for (int64_t size : shape) cuts.push_back({0, 1, size});
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = axis_of(axes[i], shape.size());
    const int64_t size = shape[axis];
    const int64_t step = steps[i];
    accept(step != 0 && step > -INT32_MAX && step < INT32_MAX, "steps by ", step);
    if (size == 0) continue;
    const auto bounded = [&](int64_t v, int64_t low, int64_t high) {
      return std::clamp(v < 0 ? v + size : v, low, high);
    };
    const int64_t start = step > 0 ? bounded(starts[i], 0, size) : bounded(starts[i], 0, size - 1);
    const int64_t end = step > 0 ? bounded(ends[i], 0, size) : bounded(ends[i], -1, size - 1);
    const int64_t span = step > 0 ? end - start : start - end;
    const int64_t stride = step > 0 ? step : -step;
    cuts[axis] = {start, step, span > 0 ? (span + stride - 1) / stride : 0};
  }
  return cuts;
}

}  // namespace thimble
