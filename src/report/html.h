#pragma once

#include <string>
#include <vector>

#include "report/frontier.h"
#include "thimble/thimble.h"

namespace thimble {

// One self-contained page each: no network, no other file. What comes from outside (names, files)
// is data in it and cannot become markup or script.

// The arena of a plan: steps against addresses, every block a rectangle.
std::string timeline_html(const PlanTimeline& timeline);

// The curve of time against bytes, beside points that were measured elsewhere.
std::string frontier_html(const std::vector<FrontierPoint>& points, const TrainOptions& options,
                          const MeasuredPoints& measured);

// The configurations of a stack: a bar of bytes each, by what they are spent on.
std::string stack_html(const std::vector<StackStep>& steps, const std::string& stack);

// The tables of a study, with bars.
std::string study_html(const std::vector<StudyTable>& tables, const std::string& study);

// How a model answers examples of each class, and which class is taken for which.
std::string confusion_html(const EvalReport& report);

// Ratios of signal to noise along the backward pass, measured and by theory.
std::string reversibility_html(const Reversibility& report);

// Activation memory of each block: as the paper counts it, and in the plan.
std::string profile_html(const Profile& profile);

}  // namespace thimble
