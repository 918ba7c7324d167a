#include "planner/kernel_times.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace thimble {

KernelTimes::KernelTimes(std::vector<KernelTime> all) : all_(std::move(all)) {
  std::stable_sort(all_.begin(), all_.end(),
                   [](const KernelTime& a, const KernelTime& b) { return a.work < b.work; });
  const auto same = [](const KernelTime& a, const KernelTime& b) { return a.work == b.work; };
  all_.erase(std::unique(all_.begin(), all_.end(), same), all_.end());
  std::map<std::string, std::pair<double, double>> sums;
  for (const KernelTime& t : all_) {
    sums[t.op].first += t.seconds;
    sums[t.op].second += t.roofline;
  }
  for (const auto& [op, sum] : sums) scales_.push_back({op, sum.first / sum.second});
}

double KernelTimes::seconds(const std::string& op, uint64_t work, double roofline) const {
  const auto it =
      std::lower_bound(all_.begin(), all_.end(), work,
                       [](const KernelTime& t, uint64_t value) { return t.work < value; });
  if (it != all_.end() && it->work == work) return it->seconds;
  const auto scale =
      std::lower_bound(scales_.begin(), scales_.end(), op,
                       [](const Scale& s, const std::string& name) { return s.op < name; });
  return scale != scales_.end() && scale->op == op ? scale->factor * roofline : roofline;
}

KernelTimes merged(const KernelTimes& fresh, const KernelTimes& old) {
  std::map<uint64_t, double> before;
  for (const KernelTime& t : old.all()) before[t.work] = t.seconds;
  std::vector<KernelTime> all = fresh.all();
  for (KernelTime& t : all) {
    if (const auto it = before.find(t.work); it != before.end()) {
      t.seconds = (t.seconds + it->second) / 2;
    }
  }
  all.insert(all.end(), old.all().begin(), old.all().end());
  return KernelTimes(std::move(all));
}

std::string text_of(const KernelTimes& times) {
  std::ostringstream out;
  out.precision(6);
  for (const KernelTime& t : times.all()) {
    out << t.op << ' ' << t.work << ' ' << t.seconds << ' ' << t.roofline << '\n';
  }
  return out.str();
}

KernelTimes parse_kernel_times(const std::string& text) {
  std::vector<KernelTime> all;
  std::istringstream in(text);
  KernelTime t;
  while (in >> t.op >> t.work >> t.seconds >> t.roofline) {
    if (!(t.seconds > 0) || !(t.roofline > 0)) break;
    all.push_back(t);
  }
  return KernelTimes(std::move(all));
}

}  // namespace thimble
