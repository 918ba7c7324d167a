#pragma once

#include <string>

namespace thimble {

// The right to write to a run folder, for as long as this lives. The kernel keeps the lock on the
// folder itself and drops it when the process dies, however it dies: nothing is left to tidy up.
class RunLock {
 public:
  // Takes the lock of an existing folder and removes what a killed writer left half written. Throws
  // UserError when another training has it.
  explicit RunLock(const std::string& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int fd_;
};

}  // namespace thimble
