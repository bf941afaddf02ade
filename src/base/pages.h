// Where the containers' fixed memory comes from. What is large is taken from the system itself, page by page as it is
// touched: a heap would touch a page in front of each block for its own use, and hand out blocks that were resident in
// an earlier life. Containers are sized for the worst case, so most of them is never touched.
#pragma once

#include <cstddef>

namespace shoal {

/// At least this much comes in pages; less from the heap, and all of it where a sanitizer watches the heap's borders.
inline constexpr std::size_t kPagesBytesMin = 16 * 1024;

/// For values that need no more than 16 bytes' alignment; nullptr for no bytes. There is always enough: without, the
/// program ends, as it does at `new`.
[[nodiscard]] void* reserve(std::size_t bytes);
/// The same, all zero.
[[nodiscard]] void* reserve_zeroed(std::size_t bytes);
/// REQUIRES: reserved with the same size.
void unreserve(void* memory, std::size_t bytes);

/// Takes the pages that lie wholly in there from this process until they are touched again; what was in them is lost.
void give_back_pages(void* memory, std::size_t bytes);

}  // namespace shoal
