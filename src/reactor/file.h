// Files as the snapshot, the keyring and the settings need them: read whole, appended to, replaced as a whole. Every
// call blocks for as long as the disk takes, so they are for small files and rare moments. Errors name the path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "reactor/fd.h"

namespace shoal::reactor {

/// The whole of a regular file. `code` of the error is ENOENT when there is none, EFBIG when it has more than
/// `size_max_bytes`, EISDIR and EINVAL for what is no regular file (a FIFO is never waited for).
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t size_max_bytes);

/// The same piece by piece, for a file that is not to be held whole; the pieces are borrowed. An error may come after
/// some of them.
[[nodiscard]] Result<void> read_file_pieces(const std::string& path, std::uint64_t size_max_bytes,
                                            const std::function<void(Bytes)>& on_bytes);

/// Makes the file hold exactly `content`, or leaves it as it was: a crash at any moment leaves the one or the other.
/// A temporary file beside it is written, synced, renamed over it, and the directory synced. The new file has `mode`
/// whatever the umask. A symbolic link at `path` is replaced in the place it points to.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode);

/// mkdir, no parents. A directory that is there is fine and keeps its mode.
[[nodiscard]] Result<void> make_directory(const std::string& path, mode_t mode);

/// A file that only grows, and has one owner: it is locked (flock) while it is open, and a second one is refused.
class AppendFile {
 public:
  enum class Start : std::uint8_t { kAtEnd, kEmpty };  // kEmpty: what was in the file is gone.
  /// Opens or creates; `mode` is for a new file. REQUIRES: not open. The error leaves it closed.
  [[nodiscard]] Result<void> open(const std::string& path, mode_t mode, Start start = Start::kAtEnd);
  /// All of it or an error; after an error the file is cut back to what it was, so that no half line stays (if even
  /// that fails, the error says so). REQUIRES: open.
  [[nodiscard]] Result<void> append(Bytes bytes);
  /// Until it returns, what was appended may be lost when the machine (not the process) dies. REQUIRES: open.
  [[nodiscard]] Result<void> sync();
  /// Syncs, renames over `path` (in the same directory) and syncs the directory; from then on this is the file at
  /// `path`. After an error the file is still open under its old name. REQUIRES: open.
  [[nodiscard]] Result<void> rename_to(const std::string& path);
  void close() { fd_.reset(); }

  [[nodiscard]] bool is_open() const { return fd_.open(); }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  OwnedFd fd_;
  std::uint64_t size_bytes_ = 0;
  std::string path_;
};

}  // namespace shoal::reactor
