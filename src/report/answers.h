#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// Examples of one class that were taken for another.
struct Confusion {
  size_t is = 0;     // class
  size_t taken = 0;  // class
  int64_t examples = 0;
};

// The pairs with most examples, most first; of equal ones the lower classes first.
std::vector<Confusion> worst_confusions(const EvalReport& report, size_t most);

// The numbers of the matrix, a row for each class: what its examples were taken for.
std::string confusion_rows(const EvalReport& report, const char* between_rows,
                           const char* between_numbers);

// A line for each class, and the worst confusions. Of very many classes: those that are right least
// often.
std::string classes_text(const EvalReport& report);

// A block for each picture that could be read.
std::string prediction_text(const PredictReport& report);
std::string to_json(const PredictReport& report);

}  // namespace thimble
