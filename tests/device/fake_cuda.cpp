// Two CUDA devices for a build of torch that has none, on which nothing is computed; the first is the current one.
//
// Torch asks three places about a device before it lets autograd, autocast and events use it. This library answers in
// their stead: the guard that switches devices and streams, the hooks of the CUDA backend, and the question which
// accelerator this machine has. It must be loaded before torch, with its symbols visible to all libraries.

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::Stream;

int recorded;  // an event needs an address, and nothing at it

struct SingleStreamGuard final : c10::impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  Device exchangeDevice(Device) const override { return getDevice(); }
  Device getDevice() const override { return Device(DeviceType::CUDA, 0); }
  DeviceIndex deviceCount() const noexcept override { return 2; }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, getDevice()); }
  Stream getDefaultStream(Device) const override { return getStream(getDevice()); }
  Stream exchangeStream(Stream) const noexcept override { return getStream(getDevice()); }
  void record(void** event, const Stream&, const DeviceIndex, const c10::EventFlag) const override { *event = &recorded; }
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {}
};

struct ReadyHooks final : at::CUDAHooksInterface {
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  // With cuDNN, as everywhere: its convolutions keep the channels last.
  bool hasCuDNN() const override { return true; }
  bool compiledWithCuDNN() const override { return true; }
  bool supportsDilatedConvolutionWithCuDNN() const override { return true; }
  bool supportsDepthwiseConvolutionWithCuDNN() const override { return true; }
  bool supportsBFloat16ConvolutionWithCuDNNv8() const override { return true; }
  long versionCuDNN() const override { return 91000; }
  long versionRuntimeCuDNN() const override { return 91000; }
  long versionCuDNNFrontend() const override { return 11200; }
  double batchnormMinEpsilonCuDNN() const override { return 0.0; }
};

}  // namespace

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, SingleStreamGuard);
}

namespace at {
namespace detail {
const CUDAHooksInterface& getCUDAHooks() {
  static const ReadyHooks hooks;
  return hooks;
}
}  // namespace detail
namespace accelerator {
std::optional<c10::DeviceType> getAccelerator(bool) { return c10::DeviceType::CUDA; }
bool isAccelerator(c10::DeviceType type) { return type == c10::DeviceType::CUDA; }
}  // namespace accelerator
}  // namespace at
