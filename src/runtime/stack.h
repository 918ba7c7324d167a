#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// A configuration as the stack's files describe it, to be measured, and to be trained to its end.
struct StackEntry {
  StackStep step;         // nothing of it measured
  TrainOptions training;  // without data and folders
};

// stack.json of a known stack or a folder: {"steps": [{"name", "title", "config"}]}, where `config`
// names a file with options (`read_options`). The objects "quick" and "accuracy", of the whole and
// of a step, are merged into them (RFC 7386) when that is asked for. Throws UserError naming the
// file.
std::vector<StackEntry> read_stack(const std::string& stack, bool quick);

}  // namespace thimble
