// Assertions about our own code, on in release builds too. Never for input from outside: that is data, to be counted.
#pragma once

namespace shoal {

/// Prints the place and the broken condition to stderr and aborts (exit code 134 by SIGABRT).
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace shoal

#define SHOAL_ASSERT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::shoal::assertion_failed(#condition, __FILE__, __LINE__))

#define SHOAL_UNREACHABLE() ::shoal::assertion_failed("unreachable", __FILE__, __LINE__)
