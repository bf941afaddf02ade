#include "reactor/handle.h"

#include <unistd.h>
#include <cerrno>

#include "base/check.h"
#include "reactor/loop_impl.h"

namespace shoal::reactor {

void PollNode::on_poll(uv_poll_t* handle, int status, int events) {
  auto& node = *static_cast<PollNode*>(handle->data);
  Watch* watch = node.watch;
  if (watch == nullptr) return;
  ++node.impl->events;
  node.impl->loop.refresh();
  Watch::Ready ready{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0};
  if (status < 0) {
    // libuv stops a descriptor that polls as POLLERR. A pending socket error is fetched by the next read or write.
    ready = {true, true};
    node.apply(watch->read_, watch->write_);
  }
  watch->callback_(watch->context_, ready);  // May have closed the watch, or destroyed it as part of another object.
}

void PollNode::on_close(uv_handle_t* handle) {
  auto& node = *static_cast<PollNode*>(handle->data);
  node.next_free = node.impl->free_nodes;
  node.impl->free_nodes = &node;
}

void PollNode::apply(bool read, bool write) {
  const int events = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
  const int rc = events == 0 ? uv_poll_stop(&handle) : uv_poll_start(&handle, events, on_poll);
  SHOAL_ASSERT(rc == 0);
}

Result<void> Watch::open(OwnedFd fd) {
  const Result<void> attached = attach(fd.get());
  if (!attached.ok()) return attached;
  owned_ = true;
  fd_ = fd.release();
  return {};
}

Result<void> Watch::borrow(int fd) {
  const Result<void> attached = attach(fd);
  if (!attached.ok()) return attached;
  owned_ = false;
  fd_ = fd;
  return {};
}

Result<void> Watch::attach(int fd) {
  SHOAL_ASSERT(node_ == nullptr);
  Loop::Impl& impl = loop_.impl();
  PollNode* node = impl.take_node();
  if (node == nullptr) return Error{EMFILE, "too many sockets are in use at the same time"};
  if (const int rc = uv_poll_init(&impl.uv, &node->handle, fd); rc != 0) {
    node->next_free = impl.free_nodes;
    impl.free_nodes = node;
    --impl.nodes_open;
    return Error{-rc, std::string("cannot watch a descriptor: ") + uv_strerror(rc)};
  }
  node->handle.data = node;
  node->watch = this;
  node_ = node;
  read_ = false;
  write_ = false;
  return {};
}

void Watch::want(bool read, bool write) {
  SHOAL_ASSERT(node_ != nullptr);
  if (read == read_ && write == write_) return;
  read_ = read;
  write_ = write;
  node_->apply(read, write);
}

void Watch::close() {
  if (node_ == nullptr) return;
  PollNode* node = node_;
  node_ = nullptr;
  node->watch = nullptr;
  --node->impl->nodes_open;
  // Takes the descriptor out of epoll at once; only the memory waits for the callback.
  uv_close(reinterpret_cast<uv_handle_t*>(&node->handle), PollNode::on_close);
  const int fd = fd_;
  fd_ = -1;
  if (owned_) OwnedFd(fd).reset();
}

}  // namespace shoal::reactor
