#include "ops/core/drop_grow.h"

#include <concepts>

// Dynamic sparse training: SET (arXiv 1707.04780) grows at random, RigL (arXiv 1911.11134) where
// the gradient of the dense weight is largest. Both drop the smallest magnitudes, behind the
// optimizer's step; what grows begins at zero, and so does its optimizer state. The number of
// active units stays. Tensors: ops/densify.cpp; candidates (units that one change may replace).

namespace thimble {
namespace {

// Numbers of one change, apart from those of all others.
constexpr int kDrawBits = 32;

template <class T>
class Change {
 public:
  explicit Change(const OpCall& call)
      : call_(call),
        a_(call.attributes),
        shape_(sparse_shape(a_)),
        active_(call.out_shape(1).elements() / shape_.block),
        index_(call.out<uint8_t>(0), shape_.units(), active_),
        counter_(call.in<int32_t>(1)),
        count_(replaced_in(a_, active_, counter_[0])) {
    scores_ = static_cast<T*>(call.scratch);
    kept_ = reinterpret_cast<int32_t*>(scores_ + active_);
    grown_ = kept_ + active_;
    bits_ = reinterpret_cast<uint32_t*>(grown_ + most_replaced(a_, active_));
  }

  // In scalars, which are at least as large as the numbers.
  static int64_t scratch(const Attributes& a, int64_t active) {
    return 2 * active + most_replaced(a, active) + sparse_shape(a).units() / 32 + 1;
  }

  void run() {
    if (count_ == 0) return;
    call_.has_input(2) ? take_candidates() : draw();
    std::sort(grown_, grown_ + count_);
    drop();
    for (size_t t = 1; t < call_.outputs.size(); ++t) insert(call_.out<T>(t));
    write_index();
  }

 private:
  void take_candidates() {
    const int32_t* candidates = call_.in<int32_t>(2);
    std::copy(candidates, candidates + count_, grown_);
  }

  // Inactive ones, each as likely as any other.
  void draw() {
    std::fill(bits_, bits_ + shape_.units() / 32 + 1, 0u);
    index_.each([&](int64_t, int64_t unit) { take(unit); });
    const RandomStream random(static_cast<uint64_t>(counter_[1]),
                              static_cast<uint64_t>(a_.integer("layer")));
    uint64_t draws = static_cast<uint64_t>(counter_[0]) << kDrawBits;
    for (int64_t i = 0; i < count_;) {
      const int64_t unit = random.below(draws++, shape_.units());
      if (take(unit)) grown_[i++] = static_cast<int32_t>(unit);
    }
  }

  // False when it is taken already.
  bool take(int64_t unit) {
    uint32_t& word = bits_[unit / 32];
    const uint32_t bit = 1u << (unit % 32);
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }

  // The smallest go; of equal ones, the first. What stays moves to the front.
  void drop() {
    const T* weights = call_.out<T>(1);
    T* sorted = scores_;
    const auto score = [&](int64_t i) {
      T sum(0);
      for (int64_t k = 0; k < shape_.block; ++k) sum += std::fabs(weights[i * shape_.block + k]);
      return sum == sum ? sum : std::numeric_limits<T>::infinity();
    };
    for (int64_t i = 0; i < active_; ++i) sorted[i] = score(i);
    std::nth_element(sorted, sorted + count_ - 1, sorted + active_);
    const T limit = sorted[count_ - 1];
    int64_t equal = count_ - std::count_if(sorted, sorted + count_, [&](T s) { return s < limit; });
    int64_t to = 0;
    index_.each([&](int64_t i, int64_t unit) {
      const T s = score(i);
      if (s < limit || (s == limit && equal-- > 0)) return;
      kept_[to] = static_cast<int32_t>(unit);
      if (to != i) {
        for (size_t t = 1; t < call_.outputs.size(); ++t) move(call_.out<T>(t), i, to);
      }
      ++to;
    });
  }

  void move(T* values, int64_t from, int64_t to) const {
    std::copy_n(values + from * shape_.block, shape_.block, values + to * shape_.block);
  }

  // Zeros where units have grown, from the end, so that nothing is overwritten that still moves.
  void insert(T* values) const {
    int64_t kept = active_ - count_, grown = count_;
    for (int64_t to = active_; grown > 0;) {
      --to;
      if (kept == 0 || grown_[grown - 1] > kept_[kept - 1]) {
        --grown;
        std::fill_n(values + to * shape_.block, shape_.block, T(0));
      } else {
        move(values, --kept, to);
      }
    }
  }

  void write_index() const {
    int64_t kept = 0, grown = 0;
    index_.write([&] {
      const bool has_kept = kept < active_ - count_;
      const bool grows = grown < count_ && (!has_kept || grown_[grown] < kept_[kept]);
      return grows ? grown_[grown++] : kept_[kept++];
    });
  }

  const OpCall& call_;
  const Attributes& a_;
  SparseShape shape_;
  int64_t active_;
  MutableSparseIndex index_;
  const int32_t* counter_;
  int64_t count_;
  T* scores_;
  int32_t *kept_, *grown_;
  uint32_t* bits_;
};

struct DropGrow {
  template <std::floating_point T>
  static void run(const OpCall& call) {
    Change<T>(call).run();
  }
};

struct Candidates {
  template <std::floating_point T>
  static void run(const OpCall& call) {
    const SparseShape shape = sparse_shape(call.attributes);
    const int64_t active = call.attributes.integer("values") / shape.block;
    const int64_t count = replaced_in(call.attributes, active, call.in<int32_t>(2)[0]);
    if (count == 0) return;
    const T* diff = call.in<T>(0);
    const SparseIndex index(call.in<uint8_t>(1), shape.units(), active);
    find_candidates(shape, index, count, static_cast<T*>(call.scratch), call.out<int32_t>(0),
                    [&](int64_t unit, int64_t k) { return diff[shape.position(unit, k)]; });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  std::vector<AttributeSpec> specs = {
      {"shape", std::vector<int64_t>{}, "of the dense weight"},
      {"block", int64_t{1}, "neighbouring outputs that are active together: 1 or 16"}};
  for (AttributeSpec& spec : change_attributes()) specs.push_back(std::move(spec));
  return specs;
}

OpDef candidates() {
  OpDef def;
  def.name = "growth_candidates";
  def.summary = "inactive positions of a sparse weight with the largest gradient";
  def.attributes = attribute_specs();
  def.attributes.push_back({"values", int64_t{0}, "active values"});
  def.inputs = {{"diff_dst"}, {"active"}, {"counter"}, {"candidates"}};
  def.infer = [](const OpShapes&) { return std::vector<TensorSpec>{}; };
  def.updates = [](const OpShapes&) { return std::vector<size_t>{3}; };
  def.flops = [](const OpShapes& s) { return s.inputs[0].elements(); };
  def.scratch_scalars = [](const OpShapes& s) { return s.inputs[3].elements(); };
  def.kernels = portable_kernels<Candidates>();
  return def;
}

}  // namespace

void define_drop_grow(OpTable& table) {
  OpDef def;
  def.name = "drop_grow";
  def.summary = "drops the smallest of a sparse weight's values and grows as many others";
  def.attributes = attribute_specs();
  def.attributes.push_back({"layer", int64_t{0}, "names the random stream"});
  def.inputs = {{"active"}, {"counter"}, {"candidates", true}, {"..."}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs.size() > 3, "drop_grow needs the values");
    return std::vector<TensorSpec>{};
  };
  def.updates = [](const OpShapes& s) {
    std::vector<size_t> updated = {0};
    for (size_t i = 3; i < s.inputs.size(); ++i) updated.push_back(i);
    return updated;
  };
  def.flops = [](const OpShapes& s) { return s.inputs[3].elements(); };
  def.scratch_scalars = [](const OpShapes& s) {
    const int64_t block = s.attributes.integer("block");
    return Change<float>::scratch(s.attributes, s.inputs[3].elements() / block);
  };
  def.kernels = portable_kernels<DropGrow>();
  table.add(def);
  table.add(candidates());
}

}  // namespace thimble
