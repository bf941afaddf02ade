#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace shoal {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "shoal: bug: %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace shoal
