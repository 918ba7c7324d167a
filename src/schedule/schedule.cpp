#include "schedule/schedule.h"

#include <algorithm>
#include <map>

#include "backends/paging.h"
#include "schedule/work.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

Category category_of(const Tensor& tensor, bool read_by_backward) {
  switch (tensor.role) {
    case Role::weight:
    case Role::statistic:
      return Category::weights;
    case Role::optimizer:
      return Category::optimizer;
    case Role::accumulator:
    case Role::gradient:
      return Category::gradients;
    case Role::data:
    case Role::metric:
      return Category::data;
    case Role::activation:
      return read_by_backward ? Category::saved : Category::temporaries;
    case Role::expanded:
    case Role::difference:
      return Category::temporaries;
  }
  return Category::temporaries;
}

// Builds a schedule node by node, inserting reorders where layouts differ.
class Lowering {
 public:
  Lowering(const Graph& graph, Backend& backend, std::vector<NamedLayout>& fixed)
      : graph_(graph), backend_(backend), fixed_(fixed), layouts_(graph.tensors.size()) {
    schedule_.name = graph.name;
    schedule_.microbatches = graph.microbatches;
    for (size_t t = 0; t < graph.tensors.size(); ++t) {
      const Tensor& tensor = graph.tensors[t];
      Buffer buffer;
      buffer.name = tensor.name;
      buffer.shape = tensor.shape;
      buffer.type = tensor.type;
      buffer.tensor = static_cast<TensorId>(t);
      buffer.persistent = is_persistent(tensor.role);
      buffer.init = tensor.init;
      buffer.dense = tensor.dense;
      buffer.block = tensor.block;
      buffer.group = tensor.group;
      schedule_.buffers.push_back(std::move(buffer));
      if (tensor.role == Role::data || tensor.role == Role::metric) {
        layouts_[t] = plain_layout(tensor.shape);
      }
      for (const NamedLayout& f : fixed) {
        if (!is_persistent(tensor.role)) break;
        if (f.name == tensor.name) layouts_[t] = f.layout;
      }
    }
  }

  Schedule run() {
    backend_.begin(graph_);
    find_updated_weights();
    // Kernels that read weights decide how they lie; what prepares a step follows them.
    for (const Node& node : graph_.nodes) {
      if (node.phase != Phase::prepare) lower(node);
    }
    for (const Node& node : graph_.nodes) {
      if (node.phase == Phase::prepare) lower(node);
    }
    std::stable_partition(schedule_.steps.begin(), schedule_.steps.end(),
                          [](const Step& s) { return s.phase == Phase::prepare; });
    std::vector<bool> forward(graph_.tensors.size()), saved(graph_.tensors.size());
    for (const Node& node : graph_.nodes) {
      if (node.phase == Phase::forward) {
        for (TensorId t : node.outputs) {
          if (t != kNoTensor) forward[at(t)] = true;
        }
        continue;
      }
      for (TensorId t : node.inputs) {
        if (t != kNoTensor) saved[at(t)] = forward[at(t)];
      }
    }
    for (Buffer& b : schedule_.buffers) {
      if (b.tensor == kNoTensor) continue;
      b.layout = layouts_[at(b.tensor)];
      if (!b.layout.decided()) b.layout = plain_layout(b.shape);  // nobody reads or makes it
      b.bytes = b.layout.elements * element_bytes(b.type);
      b.category = category_of(graph_.tensor(b.tensor), saved[at(b.tensor)]);
      if (b.persistent && std::none_of(fixed_.begin(), fixed_.end(),
                                       [&](const NamedLayout& f) { return f.name == b.name; })) {
        fixed_.push_back({b.name, b.layout});
      }
    }
    add_transfers();
    return std::move(schedule_);
  }

 private:
  // Tensors of one shape and layout share their kernels: files are read one tensor at a time.
  void add_transfers() {
    for (BufferId id = 0; id < static_cast<BufferId>(graph_.tensors.size()); ++id) {
      const Buffer& b = schedule_.buffer(id);
      if (!b.persistent || b.layout.tag == kPlain) continue;
      const auto twin = std::find_if(
          schedule_.transfers.begin(), schedule_.transfers.end(), [&](const Transfer& t) {
            const Buffer& other = schedule_.buffer(t.buffer);
            return other.shape == b.shape && other.layout == b.layout && other.type == b.type;
          });
      if (twin != schedule_.transfers.end()) {
        Transfer same = *twin;
        same.buffer = id;
        schedule_.transfers.push_back(std::move(same));
        continue;
      }
      const Layout plain = plain_layout(b.shape);
      const KernelChoice out = backend_.reorder(b.shape, b.type, b.layout, plain);
      const KernelChoice in = backend_.reorder(b.shape, b.type, plain, b.layout);
      schedule_.transfers.push_back({id, b.shape.elements() * element_bytes(b.type),
                                     std::max(out.scratch_bytes, in.scratch_bytes), out.kernel,
                                     in.kernel});
    }
  }

  // An update reads the gradient as its weight lies, and so does what sums it up for an update.
  void find_updated_weights() {
    for (const Node& node : graph_.nodes) {
      if (node.phase != Phase::finish || role_of(node.inputs[0]) != Role::weight) continue;
      for (TensorId t : node.inputs) {
        if (t != kNoTensor) weight_of_sum_[t] = node.inputs[0];
      }
    }
    for (const Node& node : graph_.nodes) {
      if (node.phase != Phase::update || node.inputs.size() < 2) continue;
      if (!is_persistent(role_of(node.inputs[0]))) continue;  // not what a gradient goes into
      const auto sum = weight_of_sum_.find(node.inputs[0]);
      weight_of_gradient_[node.inputs[1]] =
          sum == weight_of_sum_.end() ? node.inputs[0] : sum->second;
    }
    // Of a weight that several nodes read, so do the parts of the gradient.
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      if (node->phase != Phase::backward || node->op != "add") continue;
      const auto sum = weight_of_gradient_.find(node->outputs[0]);
      if (sum == weight_of_gradient_.end()) continue;
      for (TensorId part : node->inputs) weight_of_gradient_[part] = sum->second;
    }
  }

  Role role_of(TensorId t) const { return graph_.tensor(t).role; }

  void wish_layouts(const Node& node) {
    for (TensorId t : node.outputs) {
      const auto it = weight_of_gradient_.find(t);
      if (it != weight_of_gradient_.end()) layouts_[at(t)] = layouts_[at(it->second)];
    }
    // What gradients are summed up in lies as the weight does, also where the kernel that makes
    // them has another layout.
    if (node.phase == Phase::update) {
      const auto sum = weight_of_sum_.find(node.inputs[0]);
      const bool open = sum != weight_of_sum_.end() && !layouts_[at(node.inputs[0])].decided();
      if (open && graph_.tensor(sum->first).shape == graph_.tensor(sum->second).shape) {
        layouts_[at(sum->first)] = layouts_[at(sum->second)];
      }
    }
    if (find_op(node.op).follows_reader)
      layouts_[at(node.outputs[0])] = wanted_by_reader(node.outputs[0]);
  }

  // As the first node that reads the tensor would like it; what a transfer brings, as who reads it
  // then. Undecided when nobody does.
  Layout wanted_by_reader(TensorId tensor) {
    for (const Node& node : graph_.nodes) {
      const auto input = std::find(node.inputs.begin(), node.inputs.end(), tensor);
      if (input == node.inputs.end()) continue;
      if (find_op(node.op).paging == Paging::end_read) return wanted_by_reader(node.outputs[0]);
      return backend_.choose(graph_, node, layouts_)
          .inputs[static_cast<size_t>(input - node.inputs.begin())];
    }
    return {};
  }

  void lower(const Node& node) {
    wish_layouts(node);
    const OpDef& def = find_op(node.op);
    if (def.paging == Paging::start_read && is_persistent(graph_.tensor(node.inputs[0]).role)) {
      find_page(node);
    }
    KernelChoice choice = def.paging == Paging::none ? backend_.choose(graph_, node, layouts_)
                                                     : choose_paging(graph_, node, layouts_);
    Step step{node.op,
              node.name,
              node.phase,
              {},
              {},
              def.in_place,
              choice.scratch_bytes,
              flops_of(graph_, node),
              choice.implementation,
              choice.kernel,
              work_of(graph_, node),
              def.paging};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      step.inputs.push_back(node.inputs[i] == kNoTensor
                                ? kNoBuffer
                                : in_layout(node.inputs[i], choice.inputs[i], node.phase));
    }
    std::vector<TensorId> results = node.outputs;
    results.insert(results.end(), node.updates.begin(), node.updates.end());
    for (size_t i = 0; i < results.size(); ++i) {
      const bool wished =
          weight_of_gradient_.contains(results[i]) || (def.follows_reader && i == 0);
      if (wished) layouts_[at(results[i])] = {};
      if (results[i] != kNoTensor) adopt(results[i], choice.outputs[i]);
      step.outputs.push_back(results[i]);
    }
    schedule_.steps.push_back(std::move(step));
  }

  // Of state that waits in the page file: its number there, and the layout in which the node that
  // updates it will want it.
  void find_page(const Node& read) {
    const TensorId state = read.inputs[0];
    schedule_.buffers[at(state)].page = read.attributes.integer("page");
    if (layouts_[at(state)].decided()) return;
    layouts_[at(state)] = wanted_by_reader(read.outputs[0]);
    ensure(layouts_[at(state)].decided(), "nobody updates ", graph_.tensor(state).name);
  }

  void adopt(TensorId tensor, const Layout& layout) {
    Layout& current = layouts_[at(tensor)];
    if (!current.decided()) current = layout;
    ensure(current == layout, "two kernels lay out ", graph_.tensor(tensor).name, " as ",
           current.tag, " and ", layout.tag);
  }

  // The buffer that holds `tensor` in `layout`: its own, or a copy made just before this node.
  BufferId in_layout(TensorId tensor, const Layout& layout, Phase phase) {
    Layout& current = layouts_[at(tensor)];
    if (!current.decided()) current = layout;
    if (current == layout) return tensor;
    const auto key = std::pair{tensor, layout.tag};
    if (const auto it = copies_.find(key); it != copies_.end() && it->second.first == phase) {
      return it->second.second;
    }
    const Tensor& source = graph_.tensor(tensor);
    KernelChoice choice = backend_.reorder(source.shape, source.type, current, layout);
    const auto copy = static_cast<BufferId>(schedule_.buffers.size());
    Buffer buffer;
    buffer.name = str_cat(source.name, " as ", layout.tag, " #", copy);
    buffer.shape = source.shape;
    buffer.type = source.type;
    buffer.layout = layout;
    buffer.bytes = layout.elements * element_bytes(source.type);
    schedule_.buffers.push_back(std::move(buffer));
    schedule_.steps.push_back({"reorder",
                               source.name,
                               phase,
                               {tensor},
                               {copy},
                               {},
                               choice.scratch_bytes,
                               0,
                               choice.implementation,
                               choice.kernel,
                               work_of_reorder(source.shape, source.type, current, layout)});
    copies_[key] = {phase, copy};
    return copy;
  }

  const Graph& graph_;
  Backend& backend_;
  std::vector<NamedLayout>& fixed_;
  std::vector<Layout> layouts_;
  std::map<TensorId, TensorId> weight_of_gradient_;
  std::map<TensorId, TensorId> weight_of_sum_;
  std::map<std::pair<TensorId, std::string>, std::pair<Phase, BufferId>> copies_;
  Schedule schedule_;
};

}  // namespace

const char* name_of(Category category) {
  switch (category) {
    case Category::weights:
      return "weights";
    case Category::optimizer:
      return "optimizer";
    case Category::gradients:
      return "gradients";
    case Category::saved:
      return "saved";
    case Category::temporaries:
      return "temporaries";
    case Category::scratchpad:
      return "scratchpad";
    case Category::data:
      return "data";
  }
  return "?";
}

BufferId Schedule::find(std::string_view buffer_name) const {
  const auto it = std::find_if(buffers.begin(), buffers.end(),
                               [&](const Buffer& b) { return b.name == buffer_name; });
  return it == buffers.end() ? kNoBuffer : static_cast<BufferId>(it - buffers.begin());
}

int64_t Schedule::paged_bytes() const {
  int64_t bytes = 0;
  for (const Step& s : steps) {
    if (s.paging == Paging::start_write) bytes += buffer(s.inputs[0]).bytes;
  }
  return bytes;
}

Schedule make_schedule(const Graph& graph, Backend& backend, std::vector<NamedLayout>& layouts) {
  return Lowering(graph, backend, layouts).run();
}

std::ostream& operator<<(std::ostream& out, const Schedule& schedule) {
  const auto list = [&](const std::vector<BufferId>& ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      out << (i ? ", " : "");
      if (ids[i] == kNoBuffer) {
        out << '-';
      } else {
        const Buffer& b = schedule.buffer(ids[i]);
        out << b.name << ':' << b.layout.tag;
      }
    }
  };
  out << "schedule " << schedule.name << '\n';
  for (size_t i = 0; i < schedule.steps.size(); ++i) {
    const Step& s = schedule.steps[i];
    out << "  " << i << ' ' << name_of(s.phase) << ' ' << s.op << ' ' << s.name << " ("
        << s.implementation << ", scratch " << s.scratch_bytes << ") (";
    list(s.inputs);
    out << ") -> (";
    list(s.outputs);
    out << ")\n";
  }
  return out;
}

}  // namespace thimble
