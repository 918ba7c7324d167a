#pragma once

#include <string>

namespace thimble {

// Unpacks `gzip_path` once and returns the path of the unpacked copy, since examples are read in
// random order and gzip has no random access. The copy is named by the packed file's path, size and
// time, and appears whole or not at all. It goes to `cache_dir`, or when that is empty to the first
// of these that can be written: $XDG_CACHE_HOME/thimble, $HOME/.cache/thimble,
// $TMPDIR/thimble-<uid>, /tmp/thimble-<uid>. Throws UserError when the file is missing or broken,
// or no folder takes the copy.
std::string unpacked_copy(const std::string& gzip_path, const std::string& cache_dir = "");

}  // namespace thimble
