#pragma once

#include <string>

namespace thimble {

// Copies a file, aside and then renamed. Throws UserError that names the file at fault.
void copy_whole(const std::string& from, const std::string& to);

}  // namespace thimble
