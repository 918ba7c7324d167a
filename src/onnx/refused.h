#pragma once

#include <stdexcept>
#include <string>

#include "base/error.h"

namespace thimble {

// Why one node of a file cannot be taken; the importer gathers them and names the nodes.
class Refused : public std::runtime_error {
 public:
  explicit Refused(const std::string& why, std::string hint = {})
      : std::runtime_error(why), hint_(std::move(hint)) {}
  const std::string& hint() const { return hint_; }  // what would help; empty: nothing known

 private:
  std::string hint_;
};

// Throws Refused with the joined message when `condition` is false.
template <class... Parts>
void accept(bool condition, const Parts&... parts) {
  if (!condition) throw Refused(str_cat(parts...));
}

}  // namespace thimble
