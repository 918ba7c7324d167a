#include "backends/backend.h"

#include "backends/portable/portable.h"

namespace thimble {

#ifdef THIMBLE_HAS_ONEDNN
std::unique_ptr<Backend> make_onednn_backend();
#endif

std::vector<std::string> backend_names() {
#ifdef THIMBLE_HAS_ONEDNN
  return {"onednn", "portable"};
#else
  return {"portable"};
#endif
}

std::unique_ptr<Backend> make_backend(const std::string& name) {
  const std::string chosen = name == "auto" ? backend_names().front() : name;
#ifdef THIMBLE_HAS_ONEDNN
  if (chosen == "onednn") return make_onednn_backend();
#endif
  require(chosen == "portable", "there is no backend called '", name, "' in this build");
  return std::make_unique<PortableBackend>();
}

}  // namespace thimble
