#include "memory/check.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "memory/schedules.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

// weights, data -> forward (saves a, makes b) -> in place c -> backward reads a and c, makes g ->
// update of the weights.
struct Example {
  ScheduleMaker m;
  BufferId weights = m.buffer("weights", 128, true);
  BufferId data = m.buffer("data", 64, true);
  BufferId a = m.buffer("a", 192), b = m.buffer("b", 64), c = m.buffer("c", 64);
  BufferId g = m.buffer("g", 128);
  MemoryPlan plan;
  Example() {
    m.step({data, weights}, {a}, {}, 64);
    m.step({a}, {b});
    m.step({b}, {c}, {{0, 0}});
    m.step({a, c}, {g}, {}, 100);
    m.step({weights, g}, {weights});
    plan = m.plan();
  }
  Block& block(BufferId id) { return block_of(plan, id); }
  Block& scratch(size_t step) {
    return plan.blocks[static_cast<size_t>(plan.block_of_scratch[step])];
  }
  std::vector<std::string> faults() const {
    return find_faults(const_cast<ScheduleMaker&>(m).schedule(), plan);
  }
  void expect_fault(const std::string& words) const {
    for (const std::string& f : faults()) {
      if (f.find(words) != std::string::npos) return;
    }
    ADD_FAILURE() << "no fault says '" << words << "'; the first of " << faults().size() << ": "
                  << (faults().empty() ? "" : faults()[0]);
  }
};

TEST(FindFaults, TheMadePlanIsSound) { EXPECT_EQ(Example().faults(), std::vector<std::string>{}); }

TEST(FindFaults, TwoLiveTensorsAtOnePlace) {
  Example e;
  e.block(e.b).offset = e.block(e.a).offset;
  e.expect_fault("step 1 (op 1) overwrites its input a");
}

TEST(FindFaults, TensorsThatOverlapByOneLine) {
  Example e;
  e.block(e.b).offset = e.block(e.a).offset + 128;
  e.expect_fault("overwrites its input a");
}

TEST(FindFaults, APlaceThatIsNotAligned) {
  Example e;
  e.plan.arena_bytes += 64;
  e.block(e.g).offset += 4;
  e.expect_fault("g is at ");
  e.expect_fault(", not aligned");
}

TEST(FindFaults, APlaceBehindTheArena) {
  Example e;
  e.block(e.a).offset = e.plan.arena_bytes;
  e.expect_fault("a lies outside the arena");
}

TEST(FindFaults, APlaceThatEndsBehindTheArena) {
  Example e;
  e.block(e.a).offset = e.plan.arena_bytes - 128;
  e.expect_fault("a lies outside the arena");
}

TEST(FindFaults, APlaceBeforeTheArena) {
  Example e;
  e.block(e.a).offset = -64;
  e.expect_fault("a lies outside the arena");
}

TEST(FindFaults, AnArenaThatWasCut) {
  Example e;
  e.plan.arena_bytes -= 64;
  e.expect_fault("lies outside the arena");
}

TEST(FindFaults, ABlockThatIsTooSmall) {
  Example e;
  e.block(e.a).bytes = 128;
  e.expect_fault("a needs 192 bytes and got 128");
}

TEST(FindFaults, ScratchOverALiveTensor) {
  Example e;
  e.scratch(3).offset = e.block(e.a).offset;
  e.expect_fault("step 3 (op 3) overwrites its input a");
}

TEST(FindFaults, ScratchOverWeights) {
  Example e;
  e.scratch(3).offset = e.block(e.weights).offset;
  e.expect_fault("step 4 (op 4) reads weights, whose bytes are gone");
}

TEST(FindFaults, ScratchOverAnOutputOfItsStep) {
  Example e;
  e.scratch(3).offset = e.block(e.g).offset;
  e.expect_fault("step 3 (op 3): scratch overlaps an output");
}

TEST(FindFaults, AnOutputOverAnInputWithoutAPair) {
  Example e;
  e.m.schedule().steps[2].in_place = {};
  e.expect_fault("step 2 (op 2) overwrites its input b");
}

TEST(FindFaults, AnOutputBesideTheInputThatItMayReplace) {
  Example e;
  e.plan.block_of_buffer[static_cast<size_t>(e.c)] = static_cast<int32_t>(e.plan.blocks.size());
  Block shifted = e.block(e.b);
  e.m.schedule().buffers[static_cast<size_t>(e.b)].bytes = 128;
  e.m.schedule().buffers[static_cast<size_t>(e.c)].bytes = 128;
  e.block(e.b).bytes = 128;
  shifted.bytes = 128;
  shifted.offset += 64;  // half of it: the kernel would read what it has written
  e.plan.arena_bytes += 1024;
  e.plan.blocks.push_back(shifted);
  e.expect_fault("step 2 (op 2) overwrites its input b");
}

TEST(FindFaults, ASavedTensorThatIsOverwritten) {
  Example e;
  e.plan.blocks.push_back({"c alone", 64, {2, 4}, Category::temporaries, e.block(e.a).offset});
  e.plan.block_of_buffer[static_cast<size_t>(e.c)] = static_cast<int32_t>(e.plan.blocks.size()) - 1;
  e.expect_fault("step 3 (op 3) reads a, whose bytes are gone");
}

TEST(FindFaults, TwoOutputsOfAStepAtOnePlace) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64);
  m.step({}, {a, b});
  m.step({a, b}, {});
  MemoryPlan plan = m.plan();
  EXPECT_EQ(find_faults(m.schedule(), plan), std::vector<std::string>{});
  block_of(plan, b).offset = block_of(plan, a).offset;
  EXPECT_EQ(find_faults(m.schedule(), plan)[0],
            "step 0 (op 0) writes two outputs to the same bytes");
}

TEST(FindFaults, TwoPersistentTensorsAtOnePlace) {
  Example e;
  e.block(e.data).offset = e.block(e.weights).offset + 64;
  e.expect_fault("at the start: data overlaps weights");
}

TEST(FindFaults, APersistentTensorOverwrittenAtTheEnd) {
  Example e;
  e.block(e.g).offset = e.block(e.data).offset;
  e.plan.arena_bytes += 1024;
  e.expect_fault("persistent data was overwritten");
}

TEST(FindFaults, ATensorWithoutAPlace) {
  for (const char* name : {"weights", "a", "g"}) {
    Example e;
    const BufferId b = e.m.schedule().find(name);
    e.plan.block_of_buffer[static_cast<size_t>(b)] = -1;
    e.expect_fault(std::string(name) + " has no place");
  }
}

TEST(FindFaults, ABlockNumberThatDoesNotExist) {
  Example e;
  e.plan.block_of_buffer[static_cast<size_t>(e.a)] = 99;
  e.expect_fault("a has no place");
}

TEST(FindFaults, ScratchWithoutAPlace) {
  Example e;
  e.plan.block_of_scratch[3] = -1;
  e.expect_fault("step 3 (op 3) scratch has no place");
}

TEST(FindFaults, ATensorThatIsReadBeforeItIsMade) {
  ScheduleMaker m;
  const BufferId a = m.buffer("a", 64), b = m.buffer("b", 64);
  m.step({a}, {b});
  m.step({b}, {a});
  EXPECT_EQ(find_faults(m.schedule(), m.plan())[0], "step 0 (op 0) reads a, whose bytes are gone");
}

// data -> x, written to a page and read back as y, while steps run between each start and its end.
struct Paged {
  ScheduleMaker m;
  BufferId data = m.buffer("data", 64, true), x = m.buffer("x", 64), z = m.buffer("z", 64);
  BufferId leaving = m.buffer("leaving", 4), page = m.buffer("page", 4);
  BufferId arriving = m.buffer("arriving", 64), y = m.buffer("y", 64);
  Paged() {
    m.step({data}, {x});
    paging(Paging::start_write, {x}, {leaving});
    m.step({data}, {z});
    paging(Paging::end_write, {x, leaving}, {page});
    paging(Paging::start_read, {page}, {arriving});
    m.step({z}, {m.buffer("more", 64)});
    paging(Paging::end_read, {arriving}, {y});
    m.step({y, z}, {data});
  }
  void paging(Paging what, std::vector<BufferId> inputs, std::vector<BufferId> outputs) {
    m.step(std::move(inputs), std::move(outputs));
    m.schedule().steps.back().paging = what;
  }
  Step& step(size_t s) { return m.schedule().steps[s]; }
  void without(size_t s) {
    auto& steps = m.schedule().steps;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(s));
  }
  void swap(size_t a, size_t b) { std::swap(step(a), step(b)); }
  void expect_fault(const std::string& words) {
    std::string all;
    for (const std::string& f : find_faults(m.schedule(), m.plan())) all += f + '\n';
    EXPECT_NE(all.find(words), all.npos) << "no fault says '" << words << "':\n" << all;
  }
};

TEST(FindFaults, PagesThatAreWrittenAndReadInTurnAreSound) {
  Paged p;
  EXPECT_EQ(find_faults(p.m.schedule(), p.m.plan()), std::vector<std::string>{});
}

TEST(FindFaults, APageThatIsReadBeforeItIsWritten) {
  Paged p;
  p.step(4).inputs = {p.leaving};
  p.swap(3, 4);
  p.expect_fault("reads a page that another transfer is still at");
}

TEST(FindFaults, APageThatNobodyWrote) {
  Paged p;
  p.step(4).inputs = {p.data};
  p.expect_fault("reads a page that nobody wrote");
}

TEST(FindFaults, TwoReadsOfOnePageAtOnce) {
  Paged p;
  const BufferId second = p.m.buffer("second", 64);
  p.paging(Paging::start_read, {p.page}, {second});
  auto& steps = p.m.schedule().steps;
  std::rotate(steps.begin() + 5, steps.end() - 1, steps.end());
  p.expect_fault("reads a page that another transfer is still at");
}

TEST(FindFaults, ATransferThatNobodyEnds) {
  Paged writing, reading;
  writing.without(3);
  writing.expect_fault("reads page, whose bytes are gone");
  reading.step(7).inputs = {reading.z};
  reading.without(6);
  reading.expect_fault("still on its way when the step has ended");
}

TEST(FindFaults, ATransferThatEndsTwice) {
  Paged p;
  p.step(5) = p.step(6);
  p.expect_fault("ends a transfer that is not under way");
}

TEST(FindFaults, WhatIsReadBeforeItHasArrived) {
  Paged p;
  p.step(5).inputs = {p.arriving};
  p.expect_fault("reads what has not arrived");
}

// State that waits on page 3: fetched, updated, and written back.
struct WaitingState {
  ScheduleMaker m;
  BufferId state = m.buffer("state", 128, true);
  BufferId arriving = m.buffer("arriving", 128), here = m.buffer("here", 128);
  BufferId leaving = m.buffer("leaving", 4), page = m.buffer("page", 4);
  WaitingState() { m.schedule().buffers[static_cast<size_t>(state)].page = 3; }

  void step(Paging what, std::vector<BufferId> inputs, std::vector<BufferId> outputs) {
    const bool ends = what == Paging::end_read;
    m.step(std::move(inputs), std::move(outputs),
           ends ? std::vector<InPlacePair>{{0, 0}} : std::vector<InPlacePair>{});
    m.schedule().steps.back().paging = what;
  }
  void fetch() {
    step(Paging::start_read, {state}, {arriving});
    step(Paging::end_read, {arriving}, {here});
  }
  void write_back() {
    step(Paging::start_write, {here}, {leaving});
    step(Paging::end_write, {here, leaving}, {page, state});
  }
  std::vector<std::string> faults() { return find_faults(m.schedule(), m.plan()); }
  void expect_fault(const std::string& words) {
    const std::vector<std::string> found = faults();
    ASSERT_FALSE(found.empty()) << words;
    EXPECT_NE(found[0].find(words), std::string::npos) << found[0];
  }
};

TEST(FindFaults, StateThatIsFetchedAndWrittenBackIsSound) {
  WaitingState s;
  s.fetch();
  s.step(Paging::none, {s.here}, {s.here});
  s.write_back();
  EXPECT_EQ(s.faults(), std::vector<std::string>{});
}

TEST(FindFaults, StateThatIsNotWrittenBack) {
  WaitingState s;
  s.fetch();
  s.expect_fault("state was fetched and never written back");
}

TEST(FindFaults, StateThatIsReadWhereItWaits) {
  WaitingState s;
  s.step(Paging::none, {s.state}, {s.here});
  s.expect_fault("reads state that waits in the page file");
}

TEST(FindFaults, StateThatIsFetchedTwice) {
  WaitingState s;
  s.fetch();
  s.step(Paging::start_read, {s.state}, {s.m.buffer("second", 128)});
  s.expect_fault("fetches state a second time");
}

TEST(FindFaults, TwoStatesOnOnePage) {
  WaitingState s;
  const BufferId other = s.m.buffer("other", 128, true);
  s.m.schedule().buffers[static_cast<size_t>(other)].page = 3;
  s.expect_fault("two tensors wait on page 3");
}

TEST(CheckPlan, ThrowsTheFirstFaults) {
  Example e;
  e.scratch(3).offset = e.block(e.a).offset;
  e.m.schedule().name = "net";
  expect_internal_error(
      [&] { check_plan(e.m.schedule(), e.plan); },
      "the memory plan of net has 1 faults\n  step 3 (op 3) overwrites its input a");
  e.scratch(3).offset = e.plan.arena_bytes;
  e.plan.arena_bytes += 128;
  check_plan(e.m.schedule(), e.plan);
}

// A schedule of random steps: inputs among what exists, sizes, scratch, in-place pairs, updates.
Schedule random_schedule(uint64_t seed) {
  const RandomStream random(seed, 7);
  uint64_t draw = 0;
  const auto below = [&](int64_t n) { return random.below(draw++, n); };
  ScheduleMaker m;
  std::vector<BufferId> made;
  for (int64_t i = 0; i < 1 + below(4); ++i) {
    made.push_back(m.buffer(str_cat("p", i), 1 + below(500), true));
  }
  const int64_t steps = 1 + below(30);
  for (int64_t s = 0; s < steps; ++s) {
    std::vector<BufferId> inputs, outputs;
    for (int64_t i = below(4); i > 0; --i) {
      // Recent ones more often, so that in-place sharing happens.
      const auto count = static_cast<int64_t>(made.size());
      const int64_t back = std::min(below(count), below(count));
      inputs.push_back(below(8) == 0 ? kNoBuffer : made[static_cast<size_t>(count - 1 - back)]);
    }
    for (int64_t o = below(3); o >= 0; --o) {
      const bool like_input = !inputs.empty() && inputs[0] != kNoBuffer && below(2) == 0;
      const int64_t bytes = like_input ? m.schedule().buffer(inputs[0]).bytes : 1 + below(1000);
      outputs.push_back(below(10) == 0 ? kNoBuffer : m.buffer(str_cat("t", s, '.', o), bytes));
    }
    std::vector<InPlacePair> pairs;
    for (size_t o = 0; o < outputs.size(); ++o) {
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (below(2) == 0) pairs.push_back({i, o});
      }
    }
    for (BufferId b : outputs) {
      if (b != kNoBuffer) made.push_back(b);
    }
    m.step(inputs, outputs, pairs, below(3) == 0 ? 1 + below(700) : 0);
  }
  return m.schedule();
}

TEST(PlanMemory, IsSoundOnRandomSchedules) {
  int shared = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Schedule schedule = random_schedule(seed);
    const MemoryPlan plan = plan_memory(schedule, place_persistent({&schedule}, {}));
    ASSERT_EQ(find_faults(schedule, plan), std::vector<std::string>{}) << "seed " << seed;
    EXPECT_GE(plan.arena_bytes, plan.lower_bound_bytes);
    for (size_t b = 0; b < plan.blocks.size(); ++b) {
      shared += name_of_block(schedule, plan, b).find(", then ") != std::string::npos;
    }
  }
  EXPECT_GT(shared, 300);
}

// Moving any block onto another that is live at the same time is found.
TEST(FindFaults, AnyTwoLiveBlocksOnOnePlaceInRandomPlans) {
  int damaged = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Schedule schedule = random_schedule(seed);
    const MemoryPlan plan = plan_memory(schedule, place_persistent({&schedule}, {}));
    for (size_t a = 0; a < plan.blocks.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        if (!overlaps(plan.blocks[a].range, plan.blocks[b].range)) continue;
        MemoryPlan bad = plan;
        bad.blocks[a].offset = bad.blocks[b].offset;
        bad.arena_bytes += 1024;
        EXPECT_FALSE(find_faults(schedule, bad).empty())
            << "seed " << seed << ": " << name_of_block(schedule, plan, a) << " over "
            << name_of_block(schedule, plan, b);
        ++damaged;
      }
    }
  }
  EXPECT_GT(damaged, 1000);
}

}  // namespace
}  // namespace thimble
