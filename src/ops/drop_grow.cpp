#include "ops/core/drop_grow.h"

#include <concepts>

// Dynamic sparse training: SET (arXiv 1707.04780) grows at random, RigL (arXiv 1911.11134) where
// the gradient of the dense weight is largest; both drop the smallest magnitudes. MEST (arXiv
// 2110.14032) drops what ops/drop_candidates.cpp finds, and grows at random. All behind the
// optimizer's step; what grows begins at zero, and so does its optimizer state. The number of
// active units stays, in N:M that of each group. Tensors: ops/densify.cpp; grows (units) and drops
// (numbers of active units), as many as one change may replace.

namespace thimble {
namespace {

constexpr size_t kGrows = 2, kDrops = 3, kValues = 4;

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
        index_(call.out<uint8_t>(0), shape_, active_),
        counter_(call.in<int32_t>(1)),
        count_(replaced_in(a_, active_, counter_[0])) {
    const int64_t most = most_replaced(a_, active_);
    scores_ = static_cast<T*>(call.scratch);
    gone_ = reinterpret_cast<int32_t*>(scores_ + most);
    grown_ = gone_ + most;
    kept_ = grown_ + most;
    bits_ = reinterpret_cast<uint32_t*>(kept_ + active_);
  }

  // In scalars, which are at least as large as the numbers.
  static int64_t scratch(const Attributes& a, int64_t active) {
    return 3 * most_replaced(a, active) + active + sparse_shape(a).units() / 32 + 1;
  }

  void run() {
    if (count_ == 0) return;
    if (call_.has_input(kGrows)) copy(kGrows, grown_);
    choose_gone();
    if (!call_.has_input(kGrows)) draw();
    std::sort(grown_, grown_ + count_);
    drop();
    for (size_t t = 1; t < call_.outputs.size(); ++t) insert(call_.out<T>(t));
    write_index();
  }

 private:
  bool in_groups() const { return shape_.group > 1; }
  int64_t each_active() const { return active_ / shape_.groups(); }

  void copy(size_t input, int32_t* to) const {
    const int32_t* from = call_.in<int32_t>(input);
    std::copy(from, from + count_, to);
  }

  void choose_gone() {
    if (call_.has_input(kDrops)) {
      copy(kDrops, gone_);
    } else if (in_groups() && call_.has_input(kGrows)) {
      for (int64_t i = 0; i < count_; ++i) gone_[i] = least_beside(grown_[i]);
    } else {
      find_least(shape_, active_, count_, scores_, gone_, [&](int64_t i) { return magnitude(i); });
    }
    std::sort(gone_, gone_ + count_);
  }

  T magnitude(int64_t value) const { return std::fabs(call_.out<T>(1)[value]); }

  // In the group of a unit that grows. Blocks have no groups: a unit is one value.
  int32_t least_beside(int64_t unit) const {
    const int64_t first = unit / shape_.group * each_active();
    int64_t least = first;
    for (int64_t i = first + 1; i < first + each_active(); ++i) {
      if (magnitude(i) < magnitude(least)) least = i;
    }
    return static_cast<int32_t>(least);
  }

  // Inactive ones, each as likely as any other: of all, or of the group that one goes from.
  void draw() {
    std::fill(bits_, bits_ + shape_.units() / 32 + 1, 0u);
    index_.each([&](int64_t, int64_t unit) { take(unit); });
    const RandomStream random(static_cast<uint64_t>(counter_[1]),
                              static_cast<uint64_t>(a_.integer("layer")));
    uint64_t draws = static_cast<uint64_t>(counter_[0]) << kDrawBits;
    for (int64_t i = 0; i < count_;) {
      const int64_t first = in_groups() ? gone_[i] / each_active() * shape_.group : 0;
      const int64_t among = in_groups() ? shape_.group : shape_.units();
      const int64_t unit = first + random.below(draws++, among);
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

  // What stays moves to the front.
  void drop() {
    int64_t to = 0, gone = 0;
    index_.each([&](int64_t i, int64_t unit) {
      if (gone < count_ && gone_[gone] == i) {
        ++gone;
        return;
      }
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
  int32_t *gone_, *grown_, *kept_;
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
    const SparseIndex index(call.in<uint8_t>(1), shape, active);
    find_candidates(shape, index, count, static_cast<T*>(call.scratch), call.out<int32_t>(0),
                    [&](int64_t unit, int64_t k) { return diff[shape.position(unit, k)]; });
  }
};

OpDef candidates() {
  OpDef def;
  def.name = "growth_candidates";
  def.summary = "inactive positions of a sparse weight with the largest gradient";
  def.attributes = changing_attributes();
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
  def.summary = "drops the least of a sparse weight's values and grows as many others";
  def.attributes = changing_attributes();
  def.attributes.push_back({"layer", int64_t{0}, "names the random stream"});
  def.inputs = {{"active"}, {"counter"}, {"grows", true}, {"drops", true}, {"..."}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs.size() > kValues, "drop_grow needs the values");
    return std::vector<TensorSpec>{};
  };
  def.updates = [](const OpShapes& s) {
    std::vector<size_t> updated = {0};
    for (size_t i = kValues; i < s.inputs.size(); ++i) updated.push_back(i);
    return updated;
  };
  def.flops = [](const OpShapes& s) { return s.inputs[kValues].elements(); };
  def.scratch_scalars = [](const OpShapes& s) {
    const int64_t block = s.attributes.integer("block");
    return Change<float>::scratch(s.attributes, s.inputs[kValues].elements() / block);
  };
  def.kernels = portable_kernels<DropGrow>();
  table.add(def);
  table.add(candidates());
}

}  // namespace thimble
