#pragma once

#include <functional>
#include <stdexcept>
#include <string>

namespace thimble {

// A child process was ended by a signal.
class ChildKilled : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Runs `work` in a child process, whose memory and peak are its own, and brings back its text. The
// child begins as a copy of this process: start it before the first parallel loop, as it does not
// inherit threads. It ends with this process, in whatever way that ends.
class ChildTask {
 public:
  // Throws std::runtime_error when the system gives no process.
  explicit ChildTask(const std::function<std::string()>& work);
  ~ChildTask();  // ends the child when nobody asked for its result
  ChildTask(const ChildTask&) = delete;
  ChildTask& operator=(const ChildTask&) = delete;

  // Waits. Throws what `work` threw (UserError, DoesNotFit, InternalError, or else
  // std::runtime_error with its message), and ChildKilled when a signal ended the child. Once.
  std::string result();

 private:
  int pid_ = -1;
  int pipe_ = -1;
};

}  // namespace thimble
