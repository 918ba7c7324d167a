#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace thimble {

// The name that `given` was probably meant to be: one that it begins, or the nearest by insertions,
// deletions and replacements (Levenshtein); empty when none is near.
std::string nearest_name(std::string_view given, const std::vector<std::string>& names);

// "a, b, c".
std::string joined(const std::vector<std::string>& names);

// "; did you mean 'x'?", or nothing when no name is near.
std::string did_you_mean(std::string_view given, const std::vector<std::string>& names);

// "photos" of "data/photos" and of "data/photos/".
std::string last_part(const std::string& path);

}  // namespace thimble
