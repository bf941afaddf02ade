// The digests of a fixed set of runs, as text; digests.txt keeps them.
#pragma once

#include <string>

namespace shoal::test {

[[nodiscard]] std::string digests();

}  // namespace shoal::test
