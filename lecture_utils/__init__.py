"""Look inside a convolutional network without disturbing it: one module beside each lecture.

0  Start here            check         is this computer ready?
1  First-layer filters   filters       what the first layer looks for
2  Activations           activations   what each layer answers to one picture
3  The fc7 codes         codes         which pictures the network finds alike
4  Top pictures          topk          which pictures excite one unit the most
5  Occlusion             occlusion     which part of the picture the answer hangs on

They stand on models, images, layers and store, and are shown with plots and sliders.
methods holds longer calculations that a lecture calls by name, exact the exact sweep of lecture 5.
homework deals every student other data, talk prepares a lecture before it is given.
"""
