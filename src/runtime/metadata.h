#pragma once

#include <string>

namespace thimble {

// Numbers in the metadata of checkpoint files.
std::string exact_text(double value);  // hexadecimal
// At least 0, less than 2^53. Throws UserError that names the file and what it says.
double metadata_number(const std::string& text, const char* name, const std::string& path);

}  // namespace thimble
