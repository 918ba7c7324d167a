#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// stack.json of a known stack or a folder: {"steps": [{"name", "title", "config"}]}, where `config`
// names a file with options (`read_options`). The objects "quick" and "accuracy", of the whole and
// of a step, are merged into them (RFC 7386): "quick" when that is asked for, "accuracy" for the
// run that is trained to its end. Nothing of the result is measured. Throws UserError naming the
// file.
std::vector<StackStep> read_stack(const std::string& stack, bool quick);

}  // namespace thimble
