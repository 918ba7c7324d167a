#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace thimble {

// What one kind of work took on this machine, within a step.
struct KernelTime {
  std::string op;
  uint64_t work = 0;    // `work_of`
  double seconds = 0;   // measured
  double roofline = 0;  // seconds that the figures of `Machine` predict
  friend bool operator==(const KernelTime&, const KernelTime&) = default;
};

// Measured times, by work. Work that was not measured is scaled as its op was, on the whole.
class KernelTimes {
 public:
  KernelTimes() = default;
  explicit KernelTimes(std::vector<KernelTime> all);

  double seconds(const std::string& op, uint64_t work, double roofline) const;
  bool empty() const { return all_.empty(); }
  const std::vector<KernelTime>& all() const { return all_; }
  friend bool operator==(const KernelTimes&, const KernelTimes&) = default;

 private:
  std::vector<KernelTime> all_;  // by work, each once
  struct Scale {
    std::string op;
    double factor = 1;  // of the roofline's seconds
    friend bool operator==(const Scale&, const Scale&) = default;
  };
  std::vector<Scale> scales_;  // by op
};

// Those of both; the mean, where both have one: a kernel is faster in a small arena, where more of
// what it reads is still in the processor's cache, than in a large one.
KernelTimes merged(const KernelTimes& fresh, const KernelTimes& old);

// One line each; lines that make no sense end the table.
std::string text_of(const KernelTimes& times);
KernelTimes parse_kernel_times(const std::string& text);

}  // namespace thimble
