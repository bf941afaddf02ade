#include "reactor/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "reactor/socket_address.h"
#include "reactor/system.h"

namespace shoal::reactor {

namespace {

constexpr std::size_t kPieceBytes = 16 * 1024;

const char* advice(int code) {
  switch (code) {
    case ENOENT: return "; is the path right, and does its directory exist?";
    case EACCES:
    case EPERM: return "; this user may not: change the owner or the mode, or name another place";
    case EROFS: return "; the file system is read-only: name a place that can be written to";
    case ENOSPC:
    case EDQUOT: return "; make room, or name another place";
    case ENOTDIR: return "; something on the way to it is no directory";
    default: return "";
  }
}

Error file_error(int code, const std::string& doing, const std::string& path) {
  Error error = system_error(code, "cannot " + doing + " " + path);
  error.message += advice(code);
  return error;
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A rename is only sure to be on the disk once its directory is.
Result<void> sync_directory(const std::string& directory) {
  const OwnedFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) return file_error(errno, "open the directory", directory);
  // Some file systems cannot sync a directory and say EINVAL; then there is nothing more to be done.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) return file_error(errno, "sync", directory);
  return {};
}

/// False with errno when not all could be written.
bool write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    if (size == 0) {
      errno = EIO;
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return true;
}

/// The file that a symbolic link leads to, so that the link stays one. A link to nothing is left as it stands.
std::string resolved(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string out(real);
  std::free(real);
  return out;
}

}  // namespace

Result<void> read_file_pieces(const std::string& path, std::uint64_t size_max_bytes,
                              const std::function<void(Bytes)>& on_bytes) {
  // O_NONBLOCK: a FIFO in the place of a file must not hold up the program for ever.
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.open()) return file_error(errno, "read", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return file_error(errno, "read", path);
  if (S_ISDIR(info.st_mode)) return file_error(EISDIR, "read", path);
  if (!S_ISREG(info.st_mode)) return Error{EINVAL, "cannot read " + path + ": it is no regular file"};
  std::uint64_t total = 0;
  std::uint8_t piece[kPieceBytes];
  for (;;) {
    const ssize_t size = ::read(fd.get(), piece, sizeof piece);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_error(errno, "read", path);
    if (size == 0) return {};
    total += static_cast<std::uint64_t>(size);
    if (total > size_max_bytes) {
      return Error{EFBIG, path + " has more than " + std::to_string(size_max_bytes) +
                              " bytes, which is more than such a file can have; is it the right one?"};
    }
    on_bytes(Bytes(piece, static_cast<std::size_t>(size)));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t size_max_bytes) {
  std::string out;
  const Result<void> read = read_file_pieces(path, size_max_bytes, [&](Bytes bytes) { out += as_text(bytes); });
  if (!read.ok()) return read.error();
  return out;
}

Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode) {
  const std::string target = resolved(path);
  char random[24];
  std::snprintf(random, sizeof random, ".%016llx", static_cast<unsigned long long>(entropy_u64()));
  const std::string temporary = target + random;
  // O_EXCL: nobody else's file, and no link that somebody put there.
  OwnedFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!fd.open()) return file_error(errno, "write", path);
  const auto fail = [&](const char* doing) {
    const int code = errno;
    (void)::unlink(temporary.c_str());
    return file_error(code, doing, path);
  };
  if (::fchmod(fd.get(), mode) != 0) return fail("set the mode of");
  if (!write_all(fd.get(), as_bytes(content))) return fail("write");
  if (::fsync(fd.get()) != 0) return fail("sync");
  // A late error of a network file system comes with the close.
  if (::close(fd.release()) != 0) return fail("write");
  if (::rename(temporary.c_str(), target.c_str()) != 0) return fail("replace");
  return sync_directory(directory_of(target));
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  const int code = errno;
  struct stat info {};
  if (code == EEXIST && ::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return file_error(ENOTDIR, "make the directory", path);
  }
  return file_error(code, "make the directory", path);
}

Result<void> AppendFile::open(const std::string& path, mode_t mode, Start start) {
  SHOAL_ASSERT(!is_open());
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  OwnedFd fd(::open(path.c_str(), flags, mode));
  if (!fd.open()) return file_error(errno, "open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return file_error(errno, "open", path);
  if (!S_ISREG(info.st_mode)) return Error{EINVAL, "cannot append to " + path + ": it is no regular file"};
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error{EWOULDBLOCK, "cannot append to " + path + ": another program writes to it"};
    return file_error(errno, "lock", path);
  }
  if (start == Start::kEmpty && info.st_size > 0) {
    if (::ftruncate(fd.get(), 0) != 0) return file_error(errno, "empty", path);
    info.st_size = 0;
  }
  fd_ = std::move(fd);
  path_ = path;
  size_bytes_ = static_cast<std::uint64_t>(info.st_size);
  return {};
}

Result<void> AppendFile::append(Bytes bytes) {
  SHOAL_ASSERT(is_open());
  if (write_all(fd_.get(), bytes)) {
    size_bytes_ += bytes.size();
    return {};
  }
  Error error = file_error(errno, "append to", path_);
  if (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes_)) != 0)
    error.message += "; a part of it stays in the file, for it cannot be cut back either";
  return error;
}

Result<void> AppendFile::sync() {
  SHOAL_ASSERT(is_open());
  if (::fdatasync(fd_.get()) != 0) return file_error(errno, "sync", path_);
  return {};
}

Result<void> AppendFile::rename_to(const std::string& path) {
  SHOAL_ASSERT(is_open());
  if (::fsync(fd_.get()) != 0) return file_error(errno, "sync", path_);
  if (::rename(path_.c_str(), path.c_str()) != 0) return file_error(errno, "rename " + path_ + " to", path);
  path_ = path;
  return sync_directory(directory_of(path));
}

}  // namespace shoal::reactor
