#pragma once

namespace thimble::cli {

// While it lives, the first SIGINT or SIGTERM is only noted, so that training can end its step and
// write a checkpoint file; the second one ends the process as usual. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  int signal() const;  // its number; 0: none came
};

}  // namespace thimble::cli
