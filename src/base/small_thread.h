#pragma once

#include <pthread.h>

#include "base/error.h"

namespace thimble {

// A thread with a stack of kStackBytes: std::thread cannot ask for less than the system's 8 MiB.
class SmallThread {
 public:
  static constexpr size_t kStackBytes = 256 * 1024;

  SmallThread() = default;
  ~SmallThread() { join(); }
  SmallThread(const SmallThread&) = delete;
  SmallThread& operator=(const SmallThread&) = delete;

  // Runs `body(argument)`, which must not throw. The thread must not be running.
  void start(void* (*body)(void*), void* argument) {
    ensure(!running_, "the thread runs already");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    const int failed = pthread_create(&thread_, &attributes, body, argument);
    pthread_attr_destroy(&attributes);
    require(failed == 0, "cannot start a thread: error ", failed);
    running_ = true;
  }

  void join() {
    if (running_) pthread_join(thread_, nullptr);
    running_ = false;
  }

 private:
  pthread_t thread_ = {};
  bool running_ = false;
};

}  // namespace thimble
