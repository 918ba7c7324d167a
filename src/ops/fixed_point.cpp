#include <algorithm>
#include <limits>
#include <set>

#include "ops/core/gradient.h"
#include "ops/core/signal_power.h"

// Sums that can be undone to the bit. Numbers lie on a grid of 2^-fraction_bits and within [-2^22,
// 2^22) of its steps, which f32 holds exactly; what is added is rounded to the grid, and sums wrap
// around as those of integers do. So dst - rounded(branch) is src again, whatever was added. For
// the gradient rounding and wrapping are the identity (straight through).

namespace thimble {
namespace {

constexpr int kRangeBits = 22;
constexpr int64_t kMostFractionBits = 20;

class Grid {
 public:
  explicit Grid(const Attributes& a) {
    const int64_t bits = a.integer("fraction_bits");
    steps_ = static_cast<double>(int64_t{1} << bits);
    range_ = static_cast<double>(int64_t{1} << kRangeBits) / steps_;
  }

  // The nearest number of the grid; the outermost one for those outside.
  template <class T>
  T rounded(T x) const {
    using Real = decltype(branch_value(x));
    // Here floats lie one step apart.
    constexpr Real kWhole = Real(3) * Real(int64_t{1} << (std::numeric_limits<Real>::digits - 2));
    const Real real = branch_value(x);
    const Real most = Real(range_) - Real(1) / Real(steps_);
    const Real inside = std::min(std::max(real, -Real(range_)), most);
    const Real nearest = (inside * Real(steps_) + kWhole) - kWhole;
    return with_value(x, nearest / Real(steps_));
  }

  template <class T>
  T wrapped(T x) const {
    using Real = decltype(branch_value(x));
    const auto range = static_cast<Real>(range_);
    const Real real = branch_value(x);
    return with_value(x, real >= range   ? real - 2 * range
                         : real < -range ? real + 2 * range
                                         : real);
  }

 private:
  // A complex step keeps its imaginary part: the gradient passes.
  template <class T>
  static T with_value(T, T value) {
    return value;
  }
  template <class T>
  static std::complex<T> with_value(std::complex<T> x, T value) {
    return {value, x.imag()};
  }

  double steps_ = 1;  // in 1
  double range_ = 1;
};

template <class Body>
void each(const OpCall& call, const Body& body) {
  parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

struct Round {
  template <class T>
  static void run(const OpCall& call) {
    const Grid grid(call.attributes);
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    each(call, [&](int64_t i) { dst[i] = grid.rounded(src[i]); });
  }
};

struct Add {
  template <class T>
  static void run(const OpCall& call) {
    const Grid grid(call.attributes);
    const T* src = call.in<T>(0);
    const T* branch = call.in<T>(1);
    T* dst = call.out<T>(0);
    each(call, [&](int64_t i) { dst[i] = grid.wrapped(src[i] + grid.rounded(branch[i])); });
  }
};

struct Subtract {
  template <class T>
  static void run(const OpCall& call) {
    const Grid grid(call.attributes);
    const T* dst = call.in<T>(0);
    const T* branch = call.in<T>(1);
    T* src = call.out<T>(0);
    each(call, [&](int64_t i) { src[i] = grid.wrapped(dst[i] - grid.rounded(branch[i])); });
  }
};

// f32 whatever comes in: bf16 has too few digits for the grid.
std::vector<TensorSpec> infer(const std::string& op, const OpShapes& s) {
  const int64_t bits = s.attributes.integer("fraction_bits");
  require(bits >= 0 && bits <= kMostFractionBits, op, ": fraction_bits is ", bits, ", needs 0 to ",
          kMostFractionBits);
  for (const Shape& other : s.inputs) {
    require(other == s.inputs[0], op, ": shapes ", s.inputs[0], " and ", other, " must be equal");
  }
  return {{s.inputs[0], ElementType::f32}};
}

OpDef pointwise(const std::string& name) {
  OpDef def;
  def.name = name;
  def.attributes = {{"fraction_bits", int64_t{12}, "of the grid's step, 2 to the minus this"}};
  def.infer = [name](const OpShapes& s) { return infer(name, s); };
  def.elementwise = true;
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}}; };
  return def;
}

void identity_gradient(GradientBuilder& g, size_t inputs) {
  for (size_t i = 0; i < inputs; ++i) {
    if (g.wants(i)) g.set_diff_input(i, g.diff_output());
  }
}

bool only_moves(const Graph& graph, const Node& node) {
  const OpDef& op = find_op(node.op);
  if (!op.inverse) return false;
  const Inverse inverse = op.inverse(graph, node, 0);
  return inverse.node && !inverse.rounds;
}

// What made `node`'s src, but for what only moves values, rounded to the same grid. Nothing made an
// input of the graph: whoever fills it knows.
bool lies_on_grid(const Graph& graph, const Node& node) {
  std::set<TensorId> wanted = {node.inputs[0]};
  for (auto n = graph.nodes.rbegin(); n != graph.nodes.rend(); ++n) {
    const bool makes = std::any_of(n->outputs.begin(), n->outputs.end(),
                                   [&](TensorId t) { return wanted.contains(t); });
    if (n->phase != Phase::forward || !makes) continue;
    if (n->op == "fixed_point" || n->op == "fixed_point_add") {
      if (n->attributes.at("fraction_bits") != node.attributes.at("fraction_bits")) return false;
    } else if (only_moves(graph, *n)) {
      wanted.insert(n->inputs.begin(), n->inputs.end());
    } else {
      return false;
    }
  }
  return true;
}

Inverse inverted(const Graph& graph, const Node& node, size_t input) {
  if (input != 0) return {std::nullopt, str_cat("the branch of ", node.name, " was rounded")};
  if (node.inputs[0] == node.inputs[1]) return {std::nullopt, "it is added to itself"};
  if (!lies_on_grid(graph, node)) {
    return {std::nullopt, str_cat("what ", node.name, " adds to was not rounded to its grid")};
  }
  Node again = node;
  again.op = "fixed_point_add_inverse";
  again.inputs = {node.outputs[0], node.inputs[1]};
  return {std::move(again)};
}

}  // namespace

void define_fixed_point(OpTable& table) {
  OpDef round = pointwise("fixed_point");
  round.summary = "the nearest number of a fixed-point grid; gradients pass as they are";
  round.inputs = {{"src"}};
  round.outputs = {{"dst"}};
  round.in_place = {{0, 0}};
  round.gradient = [](GradientBuilder& g) { identity_gradient(g, 1); };
  round.kernels = portable_kernels<Round>();
  table.add(round);

  OpDef add = pointwise("fixed_point_add");
  add.summary = "src plus what a branch made, in fixed point: can be undone to the bit";
  add.inputs = {{"src"}, {"branch"}};
  add.outputs = {{"dst"}};
  add.in_place = {{0, 0}, {1, 0}};
  add.gradient = [](GradientBuilder& g) { identity_gradient(g, 2); };
  add.inverse = inverted;
  add.power = power_of_sum;
  add.kernels = portable_kernels<Add>();
  table.add(add);

  OpDef inverse = pointwise("fixed_point_add_inverse");
  inverse.summary = "src of fixed_point_add again, to the bit, from dst and the branch";
  inverse.inputs = {{"dst"}, {"branch"}};
  inverse.outputs = {{"src"}};
  inverse.in_place = {{0, 0}, {1, 0}};
  inverse.kernels = portable_kernels<Subtract>();
  table.add(inverse);
}

}  // namespace thimble
