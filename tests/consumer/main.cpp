#include <thimble/thimble.h>

#include <iostream>

int main() {
  thimble::TrainOptions options;
  options.model.name = "lenet";
  options.budget_bytes = thimble::mebibytes(1024);
  const thimble::PlanReport plan = thimble::plan(options);
  std::cout << options.model.name << ": " << plan.process_bytes << " bytes, of them "
            << plan.arena_bytes << " in the arena\n";
  return plan.fits && plan.process_bytes == plan.fixed_bytes + plan.arena_bytes ? 0 : 1;
}
