# libtorch, from Debian's libtorch-dev or from any PyTorch installation: the target millrace_torch.
#
# Torch_DIR (the folder of TorchConfig.cmake) or CMAKE_PREFIX_PATH (its share/cmake, or the root)
# choose one. TorchConfig.cmake itself is not used: it changes the flags of the whole project, and
# asks for a CUDA toolkit where the libraries alone will do.
function(millrace_find_torch)
  find_path(torch_config TorchConfig.cmake HINTS ${Torch_DIR} PATHS ${CMAKE_PREFIX_PATH}
    PATH_SUFFIXES Torch cmake/Torch share/cmake/Torch NO_CACHE NO_DEFAULT_PATH)
  set(roots)
  if(torch_config)
    cmake_path(GET torch_config PARENT_PATH root)  # …/share/cmake/Torch is three below the root
    cmake_path(GET root PARENT_PATH root)
    cmake_path(GET root PARENT_PATH root)
    set(roots ${root})
  endif()
  # Not cached: the package may be removed between two builds.
  unset(MILLRACE_TORCH_INCLUDE CACHE)
  find_path(MILLRACE_TORCH_INCLUDE ATen/ATen.h HINTS ${roots} PATH_SUFFIXES include NO_CACHE)
  foreach(part torch torch_cpu c10)
    unset(MILLRACE_TORCH_${part} CACHE)
    find_library(MILLRACE_TORCH_${part} ${part} HINTS ${roots} PATH_SUFFIXES lib NO_CACHE)
    list(APPEND libraries ${MILLRACE_TORCH_${part}})
  endforeach()
  if(NOT MILLRACE_TORCH_INCLUDE OR NOT MILLRACE_TORCH_torch OR NOT MILLRACE_TORCH_torch_cpu
      OR NOT MILLRACE_TORCH_c10)
    return()
  endif()
  add_library(millrace_torch INTERFACE)
  target_include_directories(millrace_torch SYSTEM INTERFACE
    ${MILLRACE_TORCH_INCLUDE} ${MILLRACE_TORCH_INCLUDE}/torch/csrc/api/include)
  # With CUDA, libtorch.so pulls in what registers itself at load time.
  target_link_libraries(millrace_torch INTERFACE
    -Wl,--push-state,--no-as-needed ${libraries} -Wl,--pop-state)
  message(STATUS "libtorch: ${MILLRACE_TORCH_torch}")
endfunction()

set(MILLRACE_TRAIN AUTO CACHE STRING "Build the trainer: ON, OFF, AUTO (if libtorch is there)")
if(MILLRACE_TRAIN)
  millrace_find_torch()
  if(NOT TARGET millrace_torch)
    if(MILLRACE_TRAIN STREQUAL AUTO)
      message(STATUS "libtorch-dev not found: millrace-train is left out")
    else()
      message(FATAL_ERROR "MILLRACE_TRAIN is ON, but libtorch was not found: install libtorch-dev "
        "or name another one with -D Torch_DIR=…/share/cmake/Torch")
    endif()
  endif()
endif()
