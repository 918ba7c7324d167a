#include "planner/search_apart.h"

#include <gtest/gtest.h>

#include "base/process_memory.h"
#include "models/zoo.h"

namespace thimble {
namespace {

constexpr Machine kMachine = {1e11, 1e10, 2e-6};

PlanRequest request_of(const std::string& model, const std::string& norm = "group") {
  ModelOptions o;
  o.batch = 4;
  o.norm = norm;
  PlanRequest r;
  r.forward = build_model(model, o);
  r.optimizer = {"sgd", {{"momentum", 0.9}}};
  r.backend = "portable";
  r.allow = {"compress-saved"};
  return r;
}

void expect_same(const Candidate& a, const Candidate& b) {
  EXPECT_EQ(a.microbatches, b.microbatches);
  EXPECT_EQ(a.settings, b.settings);
  EXPECT_EQ(a.arena_bytes, b.arena_bytes);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.snr_db, b.snr_db);
  ASSERT_EQ(a.recompute.has_value(), b.recompute.has_value());
  if (!a.recompute) return;
  EXPECT_EQ(a.recompute->stage_begins, b.recompute->stage_begins);
  EXPECT_EQ(a.recompute->lean, b.recompute->lean);
  EXPECT_EQ(a.recompute->actions, b.recompute->actions);
  EXPECT_EQ(a.recompute->runs, b.recompute->runs);
}

TEST(SearchApart, FindsTheSameCandidates) {
  const PlanRequest request = request_of("resnet18_cifar");  // with microbatches among them
  const Candidates here = find_candidates(request, kMachine);
  const Candidates apart = search_apart(request, kMachine);
  expect_same(here.plain, apart.plain);
  ASSERT_EQ(here.useful.size(), apart.useful.size());
  for (size_t i = 0; i < here.useful.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(here.useful[i], apart.useful[i]);
  }
}

// In a process of its own (ctest): the peak never falls again.
TEST(SearchApart, LeavesThePeakAlone) {
  const PlanRequest request = request_of("mobilenet_v2");
  release_what_is_done();
  const int64_t before = peak_resident_bytes();
  const Candidates apart = search_apart(request, kMachine);
  const int64_t with_apart = peak_resident_bytes();
  const Candidates here = find_candidates(request, kMachine);
  const int64_t with_here = peak_resident_bytes();
  EXPECT_LT(with_apart - before, (with_here - before) / 2);
  EXPECT_FALSE(apart.useful.empty());
}

TEST(SearchApart, MistakesComeBackAsTheyAre) {
  PlanRequest request = request_of("mobilenet_v2", "batch");
  request.numerics = Numerics{1, {{find_technique("row_bands"), 2}}};  // not with batch statistics
  EXPECT_THROW(find_candidates(request, kMachine), UserError);
  EXPECT_THROW(search_apart(request, kMachine), UserError);
}

}  // namespace
}  // namespace thimble
