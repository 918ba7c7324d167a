#include "transforms/core/observe.h"

#include <map>

#include "ops/core/builder.h"
#include "transforms/core/again.h"

namespace thimble {
namespace {

constexpr int kMapRank = 4;

class Observer {
 public:
  explicit Observer(const Graph& inverted) : from_(inverted) {
    to_ = inverted;
    to_.nodes.clear();
    for (size_t n = 0; n < from_.nodes.size(); ++n) {
      if (from_.nodes[n].phase != Phase::forward) continue;
      layers_[from_.nodes[n].name] = static_cast<int32_t>(n);
    }
  }

  Graph run(std::vector<Observed>& observed) {
    for (const Node& node : from_.nodes) {
      to_.nodes.push_back(node);
      if (!rebuilds(from_, node)) continue;
      const TensorId rebuilt = node.outputs[0];
      const std::string& name = from_.tensor(rebuilt).name;
      const TensorId kept = from_.find(name.substr(0, name.find(kRebuilt)));
      if (kept == kNoTensor || from_.tensor(kept).shape.rank() != kMapRank) continue;
      observed.push_back(observe(node, kept, rebuilt));
    }
    verify(to_);
    return std::move(to_);
  }

 private:
  Observed observe(const Node& node, TensorId kept, TensorId rebuilt) {
    Observed o;
    o.tensor = from_.tensor(kept).name;
    o.node = layers_.at(node.name);
    o.inverted = from_.nodes[static_cast<size_t>(o.node)].outputs[0] != kept;
    o.powers = metric(append_node(to_, Phase::backward, "signal_to_noise", "noise of " + o.tensor,
                                  {kept, rebuilt})[0]);
    if (const OpDef& op = find_op(node.op); op.predicted_loss) {
      const Node loss = op.predicted_loss(node);
      o.loss_db = metric(append_node(to_, Phase::backward, loss.op, "loss of " + o.tensor,
                                     loss.inputs, loss.attributes)[0]);
    }
    return o;
  }

  TensorId metric(TensorId t) {
    to_.tensor(t).role = Role::metric;
    return t;
  }

  const Graph& from_;
  Graph to_;
  std::map<std::string, int32_t> layers_;  // forward nodes, by name
};

}  // namespace

Graph observe_rebuilt(const Graph& inverted, std::vector<Observed>& observed) {
  return Observer(inverted).run(observed);
}

}  // namespace thimble
