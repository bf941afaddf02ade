// The digests of a fixed set of the sidecar's runs, as text; sidecar_digests.txt keeps them.
#pragma once

#include <string>

namespace shoal::test {

[[nodiscard]] std::string sidecar_digests();

}  // namespace shoal::test
