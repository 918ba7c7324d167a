#pragma once

#include <string>

namespace thimble::cli {

// Broken pipes become errors of `write` instead of ending the process, and files that are opened
// later cannot take the numbers of closed standard streams.
void prepare_streams();

// Writes to standard output. A reader that went away (`thimble plan | head`) is no error; throws
// std::runtime_error when the text could not be written otherwise, such as on a full disk.
void print(const std::string& text);
// Writes to standard error, where nothing can be done about failure.
void note(const std::string& text);

bool terminal_rewrites_lines();  // standard error is a terminal, and not a dumb one
int terminal_columns();          // 80 when it does not say
bool locale_is_utf8();

}  // namespace thimble::cli
