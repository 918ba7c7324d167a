#include "ops/core/activation.h"

namespace thimble {
namespace {

struct Relu6 {
  explicit Relu6(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    if (branch_value(x) <= 0) return T(0);
    return branch_value(x) < 6 ? x : T(6);
  }
  template <class T>
  T slope(T dst) const {
    return branch_value(dst) > 0 && branch_value(dst) < 6 ? T(1) : T(0);
  }
};

}  // namespace

void define_relu6(OpTable& table) {
  define_activation<Relu6>(table,
                           {.name = "relu6", .summary = "min(max(x, 0), 6)", .saves_output = true});
}

}  // namespace thimble
