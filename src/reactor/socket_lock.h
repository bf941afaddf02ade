// One driver for a socket: who holds the lock of HAProxy's runtime socket may send commands there.
//
// Two marks, because neither sees everybody: a locked file (flock) beside a UNIX socket is seen by all who share the
// folder, containers too, but needs a folder that may be written; an abstract name is seen by all in this network
// namespace. Both go by themselves when their process dies.
#pragma once

#include <string>

#include "reactor/fd.h"

namespace shoal::reactor {

class SocketLock {
 public:
  /// `path`: of a UNIX socket, empty for one that is no file. `name`: another word for the socket, for those.
  /// `me`: what others are told of us, one line.
  SocketLock(std::string path, std::string name, std::string me);

  /// True when it is ours, now or already. Else `holder` says who has it. What cannot be looked at (a folder that may
  /// not be written, a name that a stranger took) counts as free: the lock keeps mistakes away, not enemies.
  [[nodiscard]] bool try_lock();
  [[nodiscard]] const std::string& holder() const { return holder_; }

  /// The file beside a socket.
  [[nodiscard]] static std::string file_of(const std::string& path) { return path + ".shoal-lock"; }

 private:
  [[nodiscard]] bool lock_file();
  [[nodiscard]] bool lock_name();

  std::string path_;
  std::string name_;
  std::string me_;
  std::string holder_;
  OwnedFd file_;
  OwnedFd listener_;
  bool held_ = false;
};

}  // namespace shoal::reactor
