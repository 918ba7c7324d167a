#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace thimble {

// Fails unless `action` throws an `Error` whose message contains `words`.
template <class Error, class Action>
void expect_error(const Action& action, const std::string& words) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << "the message is '" << error.what() << "', without '" << words << "'";
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of error: " << error.what();
    return;
  }
  ADD_FAILURE() << "nothing was thrown; expected '" << words << "'";
}

template <class Action>
void expect_user_error(const Action& action, const std::string& words) {
  expect_error<UserError>(action, words);
}

template <class Action>
void expect_internal_error(const Action& action, const std::string& words) {
  expect_error<InternalError>(action, words);
}

}  // namespace thimble
