#include "app/pool_file.h"

#include <cerrno>
#include <utility>

#include "reactor/file.h"
#include "reactor/system.h"

namespace shoal::app {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr std::size_t kReadMost = std::size_t{16} << 20;  // 10,000 servers with the longest names are 4 MB.

}  // namespace

std::vector<sidecar::LastServer> PoolFile::open(const std::string& path, std::size_t servers_max) {
  path_ = path;
  if (path_.empty()) return {};
  const auto read = reactor::read_file(path_, kReadMost);
  if (!read.ok()) {
    if (read.error().code != ENOENT) {
      log_.warn("the last pool cannot be read; the sidecar serves once gossip has found the tasks",
                {{"reason", read.error().message}});
    }
    return {};
  }
  auto pool = sidecar::last_pool_from_json(read.value(), servers_max);
  if (!pool) {
    log_.warn("the last pool's file makes no sense and is not used; it will be written anew", {{"file", path_}});
    return {};
  }
  const std::int64_t age_ms = reactor::wall_clock_ms() - pool->written_ms;
  if (age_ms < 0 || age_ms > std::chrono::duration_cast<std::chrono::milliseconds>(kAgeMost).count()) {
    log_.info("the last pool is too old, or of the future, and is not used", {{"file", path_}, {"age_ms", age_ms}});
    return {};
  }
  log_.info("the last pool is wanted until gossip has found its tasks",
            {{"file", path_}, {"servers", pool->servers.size()}, {"age_ms", age_ms}});
  return std::move(pool->servers);
}

void PoolFile::follow(const sidecar::Core& core) {
  if (path_.empty()) return;
  core_ = &core;
  refresh_at_ = loop_.now() + kRefreshEvery;
  timer_.at(loop_.now() + kWriteEvery);
}

void PoolFile::close() {
  timer_.stop();
  if (core_ != nullptr) write();
  core_ = nullptr;
}

void PoolFile::pump() {
  if (core_->registry().changes() != written_changes_ || loop_.now() >= refresh_at_) write();
  timer_.at(loop_.now() + kWriteEvery);
}

void PoolFile::write() {
  written_changes_ = core_->registry().changes();
  refresh_at_ = loop_.now() + kRefreshEvery;
  sidecar::LastPool pool;
  pool.written_ms = reactor::wall_clock_ms();
  core_->each_wanted([&pool](const sidecar::LastServer& server) { pool.servers.push_back(server); });
  const auto written = reactor::replace_file(path_, sidecar::to_json(pool), kFileMode);
  if (written.ok() || std::exchange(failing_, true)) {
    failing_ = !written.ok();
    return;
  }
  log_.warn("the last pool cannot be written; after a restart the sidecar serves once gossip has found the tasks",
            {{"reason", written.error().message}, {"fix", "set haproxy.state_file to a place that can be written"}});
}

}  // namespace shoal::app
