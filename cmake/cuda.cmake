# The CUDA language, for the preset that asks for it; every other build never looks for nvcc.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(nvcc_program nvcc PATHS /usr/local/cuda/bin)
  if(NOT nvcc_program)
    message(FATAL_ERROR "MILLRACE_CUDA is on, but nvcc is not in PATH or /usr/local/cuda/bin")
  endif()
  set(CMAKE_CUDA_COMPILER ${nvcc_program})
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 90a-real)  # H200, first, with what only Hopper has.
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

find_package(CUDAToolkit REQUIRED)
