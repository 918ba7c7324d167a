#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/random.h"
#include "cli/child.h"
#include "models/zoo.h"
#include "ops/core/builder.h"
#include "planner/candidates.h"
#include "schedule/order.h"
#include "support/exact_solver.h"

// The planner's plans beside the best there are.

namespace thimble {
namespace {

// Arithmetic and traffic weigh about the same for these networks.
constexpr Machine kMachine = {1e11, 1e10, 2e-6};
constexpr int kGraphs = kSanitized ? 3 : 30;
constexpr int kBudgets = 6;

// A small network drawn at random, of three to twelve large forward results (seed % 10 + 3):
// chains, residual additions with and without normalisation, and branches that are added or joined,
// of cheap and dear layers on maps of unequal sizes. Then a classifier.
Graph small_network(uint64_t seed) {
  const RandomStream random(seed, 0);
  uint64_t drawn = 0;
  const auto below = [&](int64_t n) { return random.below(drawn++, n); };
  GraphBuilder b(str_cat("small", seed));
  const int64_t batch = 4 << below(2);
  const int64_t side = 16 << below(2);
  TensorId x = b.images({batch, 3, side, side});
  int layers = 0;
  const auto name = [&](const char* op) { return str_cat(op, layers++); };
  const auto conv = [&](TensorId from, int64_t channels, int64_t groups = 1) {
    const int64_t kernel = 1 + 2 * below(3);
    const int64_t pad = kernel / 2;
    return b.layer("conv2d", name("conv"), {from},
                   {{"out_channels", channels},
                    {"kernel", both(kernel)},
                    {"groups", groups},
                    {"padding", ints({pad, pad, pad, pad})}});
  };
  const Attributes relu = {{"activation", std::string("relu")}};
  int left = static_cast<int>(seed % 10) + 3;
  x = conv(x, 8 << below(3));
  x = b.layer("batch_norm", name("norm"), {x}, relu);
  left -= 2;
  while (left > 0) {
    const Shape shape = b.shape(x);
    const int64_t kind = below(8);
    const int results = kind < 2 ? 1 : kind < 6 ? 2 : 3;
    if (results > left) continue;
    left -= results;
    if (kind == 0) x = conv(x, 8 << below(3));
    if (kind == 1) {
      const bool small = shape[2] < 8;
      x = small
              ? conv(x, 16)
              : b.layer("max_pool", name("pool"), {x}, {{"kernel", both(2)}, {"stride", both(2)}});
    }
    if (kind == 2) x = b.layer("relu", name("relu"), {conv(x, 8 << below(3))});
    if (kind == 3) x = b.layer("batch_norm", name("norm"), {conv(x, shape[1], shape[1])}, relu);
    if (kind == 4) x = b.layer("add", name("add"), {conv(x, shape[1]), x});
    if (kind == 5) x = b.layer("batch_norm", name("norm"), {conv(x, shape[1]), x}, relu);
    if (kind > 5) {
      const TensorId left_branch = conv(x, 16);
      const TensorId right_branch = conv(x, 16);
      x = kind == 6 ? b.layer("add", name("add"), {left_branch, right_branch})
                    : b.layer("concat", name("concat"), {left_branch, right_branch},
                              {{"axis", int64_t{1}}});
    }
  }
  x = b.layer("global_average_pool", "pool", {x});
  x = b.layer("flatten", "flatten", {x});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{10}}}));
  return b.graph();
}

PlanRequest request_of(Graph forward) {
  PlanRequest r;
  r.forward = std::move(forward);
  r.optimizer = {"sgd", {{"momentum", 0.9}}};
  r.backend = "portable";
  r.numerics = Numerics{1, {}};  // recompute alone: that is what the solver knows
  r.without = {"sum_in_place"};
  return r;
}

Schedule plain_schedule(const Graph& graph, Order order) {
  std::vector<NamedLayout> layouts;
  return reordered(make_schedule(graph, *make_backend("portable"), layouts), order);
}

// The fastest candidate of so many bytes: they stand fastest first.
const Candidate& fastest(const std::vector<Candidate>& all, int64_t arena_bytes) {
  for (const Candidate& c : all) {
    if (c.arena_bytes <= arena_bytes) return c;
  }
  return all.back();
}

TEST(ExactSolver, WithoutABoundItKeepsEverything) {
  for (uint64_t seed = 0; seed < kGraphs; ++seed) {
    const PlanRequest request = request_of(small_network(seed));
    const Graph training = *keeping_graph(request, {}).graph;
    const ExactSolver solver(training, kMachine);
    const auto best = solver.fastest(INT64_MAX);
    ASSERT_TRUE(best.has_value());
    const Schedule s = plain_schedule(training, Order::smaller_first);
    EXPECT_NEAR(best->seconds, predict_seconds(s, kMachine), 1e-9) << seed;
    // The very bytes of the plain plan are enough for its speed.
    const auto same = solver.fastest(live_bytes(s, place_persistent({&s}, {})));
    ASSERT_TRUE(same.has_value()) << seed;
    EXPECT_NEAR(same->seconds, best->seconds, 1e-9) << seed;
  }
}

TEST(ExactSolver, ItsSchedulesTakeTheBytesAndTheTimeThatItSays) {
  for (uint64_t seed = 0; seed < kGraphs; ++seed) {
    const PlanRequest request = request_of(small_network(seed));
    const Candidates found = find_candidates(request, kMachine);
    const Graph training = *keeping_graph(request, {}).graph;
    const ExactSolver solver(training, kMachine);
    for (int64_t budget : {found.plain.arena_bytes * 3 / 4, found.useful.back().arena_bytes}) {
      const auto best = solver.fastest(budget);
      if (!best) continue;
      const Schedule s = plain_schedule(solver.graph_of(*best), Order::early_update);
      EXPECT_LE(live_bytes(s, place_persistent({&s}, {})), budget) << seed;
      EXPECT_NEAR(predict_seconds(s, kMachine), best->seconds, 1e-9) << seed;
    }
  }
}

// The optimum of the mixed-integer programme, in seconds; nothing when cbc ran out of time.
std::optional<double> solve_with_cbc(const std::string& programme) {
  const cli_test::TempDir dir;
  std::ofstream(dir / "programme.lp") << programme;
  const std::string command =
      str_cat("cbc ", dir / "programme.lp", " sec 20 ratio 1e-7 solve solution ", dir / "solution",
              " > ", dir / "log", " 2>&1");
  if (std::system(command.c_str()) != 0) return std::nullopt;
  std::ifstream in(dir / "solution");
  std::string line;
  std::getline(in, line);
  const std::string words = "Optimal - objective value ";
  if (!line.starts_with(words)) return std::nullopt;
  return 1e-6 * std::stod(line.substr(words.size()));
}

// Another method, another program, the same optimum.
TEST(ExactSolver, AgreesWithAMixedIntegerProgramme) {
  if (std::system("command -v cbc >/dev/null") != 0) {
    GTEST_SKIP() << "cbc is not installed; scripts/setup installs coinor-cbc";
  }
  int compared = 0;
  for (uint64_t seed = 0; seed < kGraphs; seed += 5) {
    const PlanRequest request = request_of(small_network(seed));
    const Candidates found = find_candidates(request, kMachine);
    const Graph training = *keeping_graph(request, {}).graph;
    const ExactSolver solver(training, kMachine);
    const int64_t budget = (found.plain.arena_bytes + 2 * found.useful.back().arena_bytes) / 3;
    const auto best = solver.fastest(budget);
    ASSERT_TRUE(best.has_value());
    const auto optimum = solve_with_cbc(solver.programme(*best, budget));
    if (!optimum) continue;
    ++compared;
    EXPECT_NEAR(*optimum, best->seconds, 1e-5 * best->seconds) << "network " << seed;
  }
  EXPECT_GE(compared, kSanitized ? 0 : 3) << "cbc solved too few within its time";
}

// Slower than the best by more than a twentieth, of so many comparisons.
struct Misses {
  int above_smallest = 0, at_smallest = 0, compared = 0;
  double most = 1;
};

Misses misses(bool local_search) {
  Misses m;
  for (uint64_t seed = 0; seed < kGraphs; ++seed) {
    const PlanRequest request = request_of(small_network(seed));
    const Candidates found = find_candidates(request, kMachine, local_search);
    const Graph training = *keeping_graph(request, {}).graph;
    const ExactSolver solver(training, kMachine);
    const int64_t smallest = found.useful.back().arena_bytes;
    for (int i = 0; i <= kBudgets; ++i) {
      const int64_t budget = smallest + (found.plain.arena_bytes - smallest) * i / kBudgets;
      const auto best = solver.fastest(budget);
      if (!best) continue;  // the solver keeps results of a few bytes, which the planner need not
      ++m.compared;
      const double ratio = fastest(found.useful, budget).seconds / best->seconds;
      EXPECT_GE(ratio, 0.99) << "network " << seed << ": the solver is not the better one";
      m.most = std::max(m.most, ratio);
      (i == 0 ? m.at_smallest : m.above_smallest) += ratio > 1.05;
    }
  }
  return m;
}

// At the smallest budget that the planner knows and at six above it.
TEST(FindCandidates, NothingIsMoreThanFivePercentFasterInTheSameBytes) {
  const Misses m = misses(true);
  EXPECT_EQ(m.above_smallest, 0);
  EXPECT_EQ(m.at_smallest, 0);
  EXPECT_LE(m.most, 1.05);
  EXPECT_GE(m.compared, (kBudgets + 1) * kGraphs - 5);
}

TEST(FindCandidates, WithoutTheLocalSearchTheSolverFindsFasterPlans) {
  if (kSanitized) GTEST_SKIP() << "needs more networks than there is time for";
  const Misses m = misses(false);
  EXPECT_GE(m.above_smallest, 20);
  EXPECT_GE(m.most, 1.1);
}

}  // namespace
}  // namespace thimble
