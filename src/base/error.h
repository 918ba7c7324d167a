#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace thimble {

// A mistake in what the user gave: a flag, a file, a shape. The message says where it happened,
// what came and what was needed. The command line turns it into exit code 2.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What was asked for does not fit the budget: nothing was run. Exit code 3.
class DoesNotFit : public UserError {
 public:
  using UserError::UserError;
};

// A bug in thimble: an invariant that no input may break. Exit code 1.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Joins its arguments as `<<` would print them.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws InternalError with the joined message when `condition` is false; checked in release too.
template <class... Parts>
void ensure(bool condition, const Parts&... parts) {
  if (!condition) throw InternalError(str_cat("internal error: ", parts...));
}

// Throws UserError with the joined message when `condition` is false.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw UserError(str_cat(parts...));
}

}  // namespace thimble
