#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "base/check.h"

namespace shoal {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kWatched = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kWatched = true;
#else
constexpr bool kWatched = false;
#endif
#else
constexpr bool kWatched = false;
#endif

[[nodiscard]] bool in_pages(std::size_t bytes) { return !kWatched && bytes >= kPagesBytesMin; }

[[nodiscard]] void* map(std::size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SHOAL_ASSERT(memory != MAP_FAILED);
  return memory;
}

}  // namespace

void* reserve(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (in_pages(bytes)) return map(bytes);
  void* const memory = std::malloc(bytes);
  SHOAL_ASSERT(memory != nullptr);
  return memory;
}

void* reserve_zeroed(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (in_pages(bytes)) return map(bytes);
  void* const memory = std::calloc(1, bytes);
  SHOAL_ASSERT(memory != nullptr);
  return memory;
}

void unreserve(void* memory, std::size_t bytes) {
  if (memory == nullptr) return;
  if (!in_pages(bytes)) return std::free(memory);
  SHOAL_ASSERT(::munmap(memory, bytes) == 0);
}

void give_back_pages(void* memory, std::size_t bytes) {
  const auto page = static_cast<std::uintptr_t>(::getpagesize());
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / page * page;
  if (begin < end) static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

}  // namespace shoal
