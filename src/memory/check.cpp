#include "memory/check.h"

#include <map>
#include <set>

namespace thimble {
namespace {

struct Place {
  int64_t begin = 0;
  int64_t end = 0;
};

bool stays_in_memory(const Buffer& b) { return b.persistent && b.page == kNoPage; }

bool intersects(Place a, Place b) { return a.begin < b.end && b.begin < a.end; }

// Transfers to and from the page file, which go on while other steps run. The tensor that a start
// makes stands for its transfer, and goes into the end's step.
class Transfers {
 public:
  explicit Transfers(const Schedule& schedule) : schedule_(schedule) {}

  // A fault in words, or nothing.
  std::string visit(const Step& step) {
    switch (step.paging) {
      case Paging::start_write:
        under_way_[step.outputs[0]] = step.outputs[0];
        page_of_[step.outputs[0]] = step.outputs[0];
        return "";
      case Paging::start_read: {
        if (waits(step.inputs[0])) {
          under_way_[step.outputs[0]] = step.inputs[0];
          return fetched_.insert(step.inputs[0]).second ? "" : "fetches state a second time";
        }
        const auto page = page_of_.find(step.inputs[0]);
        if (page == page_of_.end()) return "reads a page that nobody wrote";
        for (const auto& [transfer, other] : under_way_) {
          if (other == page->second) return "reads a page that another transfer is still at";
        }
        under_way_[step.outputs[0]] = page->second;
        return "";
      }
      case Paging::end_write:
        if (!under_way_.contains(step.inputs[1])) return "ends a transfer that is not under way";
        page_of_[step.outputs[0]] = page_of_[step.inputs[1]];
        under_way_.erase(step.inputs[1]);
        return step.outputs.size() < 2 || fetched_.erase(step.outputs[1]) > 0
                   ? ""
                   : "writes state back that was not fetched";
      case Paging::end_read:
        return under_way_.erase(step.inputs[0]) > 0 ? "" : "ends a transfer that is not under way";
      case Paging::none:
        break;
    }
    for (BufferId in : step.inputs) {
      if (under_way_.contains(in)) return "reads what has not arrived";
      if (waits(in)) return "reads state that waits in the page file";
    }
    return "";
  }

  bool all_ended() const { return under_way_.empty(); }
  bool all_back() const { return fetched_.empty(); }

 private:
  bool waits(BufferId b) const { return b != kNoBuffer && schedule_.buffer(b).page != kNoPage; }

  const Schedule& schedule_;
  std::set<BufferId> fetched_;              // state that is in memory
  std::map<BufferId, BufferId> under_way_;  // the page of each transfer
  std::map<BufferId, BufferId> page_of_;    // by what stands for it: that of its writing
};

class Walk {
 public:
  Walk(const Schedule& schedule, const MemoryPlan& plan)
      : schedule_(schedule), plan_(plan), transfers_(schedule) {
    std::set<int64_t> pages;
    for (BufferId b = 0; b < static_cast<BufferId>(schedule.buffers.size()); ++b) {
      const int64_t page = schedule.buffer(b).page;
      if (page != kNoPage && !pages.insert(page).second) fault("two tensors wait on page ", page);
      if (!stays_in_memory(schedule.buffer(b))) continue;
      if (plan.block_of_buffer[static_cast<size_t>(b)] < 0) {
        fault("persistent ", schedule.buffer(b).name, " has no place");
        continue;
      }
      claim_fresh(b, "at the start");
    }
    reserve_the_rest();
  }

  std::vector<std::string> run() {
    for (size_t s = 0; s < schedule_.steps.size(); ++s) visit(s);
    if (!transfers_.all_back()) fault("state was fetched and never written back");
    if (!transfers_.all_ended()) fault("a page is still on its way when the step has ended");
    // The next step of training reads the persistent tensors again.
    for (BufferId b = 0; b < static_cast<BufferId>(schedule_.buffers.size()); ++b) {
      if (stays_in_memory(schedule_.buffer(b)) && !owner_.contains(b)) {
        fault("persistent ", schedule_.buffer(b).name, " was overwritten");
      }
    }
    return std::move(faults_);
  }

 private:
  template <class... Parts>
  void fault(const Parts&... parts) {
    faults_.push_back(str_cat(parts...));
  }

  // Persistent blocks that no buffer of this schedule owns: the next batch, the loader's memory,
  // the other program's tensors. Nobody may write there.
  void reserve_the_rest() {
    std::vector<bool> owned(plan_.blocks.size());
    for (const auto* owners : {&plan_.block_of_buffer, &plan_.block_of_scratch}) {
      for (int32_t block : *owners) {
        if (block >= 0 && static_cast<size_t>(block) < owned.size()) {
          owned[static_cast<size_t>(block)] = true;
        }
      }
    }
    for (size_t b = 0; b < plan_.blocks.size(); ++b) {
      if (owned[b]) continue;
      const Block& block = plan_.blocks[b];
      const Place p = place(static_cast<int32_t>(b), block.bytes, block.name);
      for (const auto& [other, q] : owner_) {
        if (intersects(p, q)) fault(block.name, " overlaps ", schedule_.buffer(other).name);
      }
      for (const auto& [name, q] : reserved_) {
        if (intersects(p, q)) fault(block.name, " overlaps ", name);
      }
      reserved_.emplace_back(block.name, p);
    }
  }

  // Where a block lies, checked; `bytes` is what the tensor or scratch really needs.
  Place place(int32_t block, int64_t bytes, const std::string& name) {
    if (block < 0 || static_cast<size_t>(block) >= plan_.blocks.size()) {
      fault(name, " has no place");
      return {};
    }
    const Block& b = plan_.blocks[static_cast<size_t>(block)];
    if (b.offset % kAlignment != 0) fault(name, " is at ", b.offset, ", not aligned");
    if (b.bytes < bytes) fault(name, " needs ", bytes, " bytes and got ", b.bytes);
    if (b.offset < 0 || b.offset + bytes > plan_.arena_bytes) {
      fault(name, " lies outside the arena of ", plan_.arena_bytes, " bytes");
    }
    return {b.offset, b.offset + bytes};
  }

  Place place(BufferId id) {
    const Buffer& b = schedule_.buffer(id);
    return place(plan_.block_of_buffer[static_cast<size_t>(id)], b.bytes, b.name);
  }

  void claim_fresh(BufferId id, const std::string& when) {
    const Place p = place(id);
    for (const auto& [other, q] : owner_) {
      if (intersects(p, q)) {
        fault(when, ": ", schedule_.buffer(id).name, " overlaps ", schedule_.buffer(other).name);
      }
    }
    owner_[id] = p;
  }

  static bool contains(const std::vector<BufferId>& list, BufferId id) {
    for (BufferId b : list) {
      if (b == id) return true;
    }
    return false;
  }

  bool allowed_in_place(const Step& step, BufferId in, size_t output) const {
    for (const InPlacePair& pair : step.in_place) {
      if (pair.output == output && pair.input < step.inputs.size() &&
          step.inputs[pair.input] == in) {
        return true;
      }
    }
    return false;
  }

  void visit(size_t s) {
    const Step& step = schedule_.steps[s];
    const std::string where = str_cat("step ", s, " (", step.op, ' ', step.name, ")");
    for (BufferId in : step.inputs) {
      if (in == kNoBuffer || schedule_.buffer(in).page != kNoPage) continue;
      if (!owner_.contains(in)) {
        fault(where, " reads ", schedule_.buffer(in).name, ", whose bytes are gone");
      }
    }
    const std::string misuse = transfers_.visit(step);
    if (!misuse.empty()) fault(where, " ", misuse);
    std::vector<Place> written;
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      const BufferId out = step.outputs[k];
      const bool here = out != kNoBuffer && schedule_.buffer(out).page == kNoPage;
      if (here) write(step, k, where, written);
    }
    if (step.scratch_bytes > 0) {
      const Place p = place(plan_.block_of_scratch[s], step.scratch_bytes, where + " scratch");
      for (const Place& w : written) {
        if (intersects(p, w)) fault(where, ": scratch overlaps an output");
      }
      overwrite(step, p, kNoBuffer, step.outputs.size(), where);
    }
  }

  void write(const Step& step, size_t k, const std::string& where, std::vector<Place>& written) {
    const BufferId out = step.outputs[k];
    const Place p = place(out);
    for (const Place& w : written) {
      if (intersects(p, w)) fault(where, " writes two outputs to the same bytes");
    }
    written.push_back(p);
    overwrite(step, p, out, k, where);
    owner_[out] = p;
  }

  // Bytes [p) are written: nobody that this step still reads may stand there, and whoever stood
  // there is gone.
  void overwrite(const Step& step, Place p, BufferId writer, size_t output,
                 const std::string& where) {
    for (const auto& [name, q] : reserved_) {
      if (intersects(p, q)) fault(where, " overwrites ", name);
    }
    for (auto it = owner_.begin(); it != owner_.end();) {
      const auto& [other, q] = *it;
      if (other == writer || !intersects(p, q)) {
        ++it;
        continue;
      }
      if (contains(step.inputs, other)) {
        const bool same_place = q.begin == p.begin && q.end == p.end;
        if (!same_place || !allowed_in_place(step, other, output)) {
          fault(where, " overwrites its input ", schedule_.buffer(other).name);
        }
      }
      it = owner_.erase(it);
    }
  }

  const Schedule& schedule_;
  const MemoryPlan& plan_;
  std::map<BufferId, Place> owner_;
  Transfers transfers_;
  std::vector<std::pair<std::string, Place>> reserved_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> find_faults(const Schedule& schedule, const MemoryPlan& plan) {
  return Walk(schedule, plan).run();
}

void check_plan(const Schedule& schedule, const MemoryPlan& plan) {
  const std::vector<std::string> faults = find_faults(schedule, plan);
  if (faults.empty()) return;
  std::string text =
      str_cat("the memory plan of ", schedule.name, " has ", faults.size(), " faults");
  for (size_t i = 0; i < faults.size() && i < 5; ++i) text += "\n  " + faults[i];
  throw InternalError(text);
}

}  // namespace thimble
