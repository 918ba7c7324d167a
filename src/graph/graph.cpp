#include "graph/graph.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace thimble {

int64_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::f32:
    case ElementType::i32:
      return 4;
    case ElementType::bf16:
      return 2;
    case ElementType::u8:
      return 1;
  }
  return 0;
}

const char* name_of(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return "f32";
    case ElementType::bf16:
      return "bf16";
    case ElementType::i32:
      return "i32";
    case ElementType::u8:
      return "u8";
  }
  return "?";
}

const char* name_of(Role role) {
  switch (role) {
    case Role::data:
      return "data";
    case Role::weight:
      return "weight";
    case Role::statistic:
      return "statistic";
    case Role::optimizer:
      return "optimizer";
    case Role::accumulator:
      return "accumulator";
    case Role::activation:
      return "activation";
    case Role::expanded:
      return "expanded";
    case Role::gradient:
      return "gradient";
    case Role::difference:
      return "difference";
    case Role::metric:
      return "metric";
  }
  return "?";
}

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::prepare:
      return "prepare";
    case Phase::forward:
      return "forward";
    case Phase::backward:
      return "backward";
    case Phase::update:
      return "update";
    case Phase::finish:
      return "finish";
  }
  return "?";
}

bool is_persistent(Role role) {
  return role == Role::data || role == Role::weight || role == Role::statistic ||
         role == Role::optimizer || role == Role::accumulator || role == Role::metric;
}

Shape trained_shape(const Tensor& weight) {
  Shape shape = weight.shape;
  if (!weight.trained_part.is_whole()) shape[weight.trained_part.axis] = weight.trained_part.count;
  return shape;
}

TensorId Graph::add_tensor(Tensor tensor) {
  const std::string base = tensor.name;
  for (int suffix = 2; find(tensor.name) != kNoTensor; ++suffix) {
    tensor.name = str_cat(base, "#", suffix);
  }
  tensors.push_back(std::move(tensor));
  return static_cast<TensorId>(tensors.size()) - 1;
}

TensorId Graph::find(std::string_view wanted) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const Tensor& t) { return t.name == wanted; });
  return it == tensors.end() ? kNoTensor : static_cast<TensorId>(it - tensors.begin());
}

std::ostream& operator<<(std::ostream& out, const ChannelRange& r) {
  if (r.is_whole()) return out;
  return out << " trained " << r.first << ':' << r.first + r.count << " of axis " << r.axis;
}

std::ostream& operator<<(std::ostream& out, const Graph& graph) {
  const auto list = [&](const std::vector<TensorId>& ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      out << (i ? ", " : "") << (ids[i] == kNoTensor ? "-" : graph.tensor(ids[i]).name);
    }
  };
  out << "graph " << graph.name << '\n';
  for (const Tensor& t : graph.tensors) {
    out << "  " << name_of(t.role) << ' ' << t.name << ' ' << name_of(t.type) << ' ' << t.shape
        << t.trained_part << '\n';
  }
  for (const Node& n : graph.nodes) {
    out << "  " << name_of(n.phase) << ": " << n.op << ' ' << n.name << " [";
    const char* separator = "";
    for (const auto& [name, value] : n.attributes) {
      out << separator << name << '=' << value;
      separator = " ";
    }
    out << "] (";
    list(n.inputs);
    out << ") -> (";
    list(n.outputs);
    out << ')';
    if (!n.updates.empty()) {
      out << " updates (";
      list(n.updates);
      out << ')';
    }
    out << '\n';
  }
  return out;
}

namespace {

void verify_trained_part(const Tensor& t) {
  const ChannelRange& part = t.trained_part;
  if (part.is_whole()) return;
  const bool some = part.axis >= 0 && part.axis < t.shape.rank() && part.first >= 0 &&
                    part.count > 0 && part.first + part.count <= t.shape[part.axis] &&
                    part.count < t.shape[part.axis];
  ensure(some && t.trainable && t.dense.rank() == 0, t.name, ' ', t.shape, " cannot be", part);
}

}  // namespace

void verify(const Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (const Tensor& t : graph.tensors) {
    ensure(names.insert(t.name).second, "two tensors are called ", t.name);
    verify_trained_part(t);
  }
  const auto count = static_cast<TensorId>(graph.tensors.size());
  std::vector<bool> made(graph.tensors.size());
  std::vector<std::optional<Phase>> made_once(graph.tensors.size());  // by the edges of a step
  std::vector<std::optional<Phase>> updated(graph.tensors.size());
  for (TensorId t = 0; t < count; ++t) {
    made[static_cast<size_t>(t)] = is_persistent(graph.tensor(t).role);
  }
  Phase furthest = Phase::prepare;
  for (const Node& n : graph.nodes) {
    // The middle phases run once for each microbatch: what crosses their ends must be persistent.
    const bool edge = runs_once(n.phase);
    ensure(n.phase != Phase::prepare || furthest == Phase::prepare, n.name, " prepares too late");
    ensure(furthest != Phase::finish || n.phase == Phase::finish, n.name, " runs after the finish");
    furthest = std::max(furthest, n.phase);
    for (TensorId t : n.inputs) {
      if (t == kNoTensor) continue;
      ensure(t >= 0 && t < count, "node ", n.name, " reads tensor ", t, " of ", count);
      const auto once = made_once[static_cast<size_t>(t)];
      ensure(is_persistent(graph.tensor(t).role) || (edge ? once == n.phase : !once), n.name,
             edge ? " of the whole step touches a tensor of one microbatch"
                  : " of a microbatch touches a tensor of the whole step");
      ensure(made[static_cast<size_t>(t)], n.op, ' ', n.name, " reads ", graph.tensor(t).name,
             " before it is made");
      // What is prepared, or summed up for the finish, is there to be read; the finish keeps its
      // order.
      const auto& by = updated[static_cast<size_t>(t)];
      ensure(!by || n.phase == Phase::finish || (*by != n.phase && *by == Phase::prepare), n.op,
             ' ', n.name, " reads ", graph.tensor(t).name, " after its update");
    }
    for (TensorId t : n.outputs) {
      if (t == kNoTensor) continue;
      ensure(t >= 0 && t < count, "node ", n.name, " makes tensor ", t, " of ", count);
      const bool metric = graph.tensor(t).role == Role::metric;
      ensure(metric || !made[static_cast<size_t>(t)], graph.tensor(t).name, " is made twice");
      made[static_cast<size_t>(t)] = true;
      if (edge) made_once[static_cast<size_t>(t)] = n.phase;
    }
    for (TensorId t : n.updates) {
      ensure(t >= 0 && t < count, "node ", n.name, " updates tensor ", t, " of ", count);
      // State that waits elsewhere, or trained channels of a weight, are a copy for their update
      // alone, which is written back afterwards.
      const Role role = graph.tensor(t).role;
      const bool fetched = role == Role::difference && made[static_cast<size_t>(t)];
      ensure(fetched || is_persistent(role), n.name, " updates the transient tensor ",
             graph.tensor(t).name);
      if (!fetched) updated[static_cast<size_t>(t)] = n.phase;
    }
  }
}

}  // namespace thimble
