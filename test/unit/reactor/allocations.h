// How often this test program has called operator new.
#pragma once

#include <cstddef>

namespace shoal::reactor {

[[nodiscard]] std::size_t allocations();

}  // namespace shoal::reactor
