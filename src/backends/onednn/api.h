#pragma once

// The only place that knows how a version of oneDNN spells a primitive. Version 2 builds an
// operation descriptor first; version 3 gives the same arguments to the primitive descriptor.

#include <vector>

#if __has_include(<oneapi/dnnl/dnnl.hpp>)
#include <oneapi/dnnl/dnnl.hpp>
#else
#include <dnnl.hpp>
#endif

namespace thimble::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// Strides, dilation (0: dense) and padding of a window, (H, W) each.
struct Window {
  Dims stride, dilation, before, after;
};

#if DNNL_VERSION_MAJOR >= 3

template <class Primitive, class... Args>
typename Primitive::primitive_desc make_desc(const dnnl::engine& engine, const Args&... args) {
  return typename Primitive::primitive_desc(engine, args..., user_scratchpad());
}
template <class Primitive, class Hint, class... Args>
typename Primitive::primitive_desc make_backward_desc(const dnnl::engine& engine, const Hint& hint,
                                                      const Args&... args) {
  return typename Primitive::primitive_desc(engine, args..., hint, user_scratchpad());
}

using Pooling = dnnl::pooling_forward;
using PoolingBackward = dnnl::pooling_backward;
inline Pooling::primitive_desc pooling_desc(const dnnl::engine& engine, dnnl::algorithm algorithm,
                                            const Desc& src, const Desc& dst, const Window& w,
                                            const Dims& kernel) {
  return make_desc<Pooling>(engine, dnnl::prop_kind::forward_training, algorithm, src, dst,
                            w.stride, kernel, w.dilation, w.before, w.after);
}
inline PoolingBackward::primitive_desc pooling_backward_desc(
    const dnnl::engine& engine, const Pooling::primitive_desc& hint, dnnl::algorithm algorithm,
    const Desc& diff_src, const Desc& diff_dst, const Window& w, const Dims& kernel) {
  return make_backward_desc<PoolingBackward>(engine, hint, algorithm, diff_src, diff_dst, w.stride,
                                             kernel, w.dilation, w.before, w.after);
}

#else

template <class Primitive, class... Args>
typename Primitive::primitive_desc make_desc(const dnnl::engine& engine, const Args&... args) {
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), user_scratchpad(),
                                            engine);
}
template <class Primitive, class Hint, class... Args>
typename Primitive::primitive_desc make_backward_desc(const dnnl::engine& engine, const Hint& hint,
                                                      const Args&... args) {
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), user_scratchpad(),
                                            engine, hint);
}

using Pooling = dnnl::pooling_forward;
using PoolingBackward = dnnl::pooling_backward;
inline Pooling::primitive_desc pooling_desc(const dnnl::engine& engine, dnnl::algorithm algorithm,
                                            const Desc& src, const Desc& dst, const Window& w,
                                            const Dims& kernel) {
  return make_desc<Pooling>(engine, dnnl::prop_kind::forward_training, algorithm, src, dst,
                            w.stride, kernel, w.before, w.after);
}
inline PoolingBackward::primitive_desc pooling_backward_desc(
    const dnnl::engine& engine, const Pooling::primitive_desc& hint, dnnl::algorithm algorithm,
    const Desc& diff_src, const Desc& diff_dst, const Window& w, const Dims& kernel) {
  return make_backward_desc<PoolingBackward>(engine, hint, algorithm, diff_src, diff_dst, w.stride,
                                             kernel, w.before, w.after);
}

#endif

}  // namespace thimble::onednn
